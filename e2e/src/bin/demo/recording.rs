//! The data of the demo's picture. Pure.

use anyhow::{Result, bail};

/// A run of the demo. Times are seconds since the start of the load.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recording {
    /// Corners of the offered load: time, and requests per second.
    pub(crate) offered: Vec<(f64, f64)>,
    /// Measurements of the operator, in order.
    pub(crate) samples: Vec<Sample>,
    /// The decisions that changed replicas or workers, the oldest first.
    pub(crate) decisions: Vec<Mark>,
}

/// One sample of the service and its workers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: f64,
    /// Requests per second; `None` while they are not measured.
    pub(crate) request_rate: Option<f64>,
    /// The 99th percentile of the latency in seconds; `None` without requests.
    pub(crate) p99: Option<f64>,
    /// Replicas of the service.
    pub(crate) web: Replicas,
    /// Jobs that wait or run; `None` while they are not measured.
    pub(crate) jobs: Option<f64>,
    /// Workers of the pool.
    pub(crate) workers: Replicas,
}

/// Replicas of a component.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Replicas {
    pub(crate) desired: i32,
    pub(crate) ready: i32,
}

/// A decision on the time axis.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) at: f64,
    pub(crate) component: String,
    pub(crate) from: i32,
    pub(crate) to: i32,
    /// The reason, in sentences.
    pub(crate) reason: String,
}

impl Recording {
    /// Whether the service and its workers grew with their load and shrank after it.
    ///
    /// # Errors
    /// With the missing step.
    pub(crate) fn check(&self) -> Result<()> {
        self.follow("service", |sample| sample.web)?;
        self.follow("pool of workers", |sample| sample.workers)
    }

    fn follow(&self, what: &str, of: fn(&Sample) -> Replicas) -> Result<()> {
        let (Some(first), Some(last)) = (self.samples.first().map(of), self.samples.last().map(of)) else {
            bail!("the operator measured nothing while the load ran");
        };
        let most = self.samples.iter().map(|sample| of(sample).ready).max().unwrap_or(0);
        if most <= first.desired {
            bail!("the load did not make the {what} grow: it had {} replicas all along", first.desired);
        }
        if last.desired >= most {
            bail!("the {what} did not shrink after the load: it still has {} replicas", last.desired);
        }
        Ok(())
    }

    /// Whether service and workers have their initial replicas again.
    pub(crate) fn has_settled(&self) -> bool {
        let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) else { return false };
        let has = |of: fn(&Sample) -> Replicas| {
            of(last).desired <= of(first).desired && of(last).ready == of(last).desired
        };
        has(|sample| sample.web) && has(|sample| sample.workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(web: &[i32], workers: &[i32]) -> Recording {
        let replicas = |replicas: &i32| Replicas { desired: *replicas, ready: *replicas };
        let sample = |(web, workers): (&i32, &i32)| Sample {
            at: 0.0,
            request_rate: None,
            p99: None,
            web: replicas(web),
            jobs: None,
            workers: replicas(workers),
        };
        Recording { samples: web.iter().zip(workers).map(sample).collect(), ..Recording::default() }
    }

    fn check(web: &[i32], workers: &[i32]) -> String {
        recording(web, workers).check().map_or_else(|error| error.to_string(), |()| "followed".to_owned())
    }

    #[test]
    fn a_run_that_did_not_scale_out_and_in_is_a_failure() {
        assert_eq!(check(&[1, 3, 5, 1], &[0, 0, 2, 0]), "followed");
        assert!(check(&[1, 1, 1], &[0, 2, 0]).contains("did not make the service grow"));
        assert!(
            check(&[1, 5, 5], &[0, 2, 0]).contains("service did not shrink after the load: it still has 5")
        );
        assert!(check(&[1, 5, 1], &[0, 0, 0]).contains("did not make the pool of workers grow"));
        assert!(check(&[1, 5, 1], &[0, 2, 2]).contains("it still has 2 replicas"));
        assert!(check(&[], &[]).contains("measured nothing"));
    }

    #[test]
    fn a_run_is_over_once_nothing_is_left_of_the_growth() {
        assert!(recording(&[1, 5, 1], &[0, 2, 0]).has_settled());
        assert!(!recording(&[1, 5, 2], &[0, 2, 0]).has_settled());
        assert!(!recording(&[1, 5, 1], &[0, 2, 1]).has_settled());
    }
}
