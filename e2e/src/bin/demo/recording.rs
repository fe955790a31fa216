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
    /// Whether the payment provider is named as degraded.
    pub(crate) degraded: bool,
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
    /// Whether the service and its workers grew with their load and shrank after it, and no replica went while the payment
    /// provider was degraded.
    ///
    /// # Errors
    /// With the missing step.
    pub(crate) fn check(&self) -> Result<()> {
        self.follow("service", |sample| sample.web)?;
        self.follow("pool of workers", |sample| sample.workers)?;
        let degraded = || self.samples.iter().filter(|sample| sample.degraded);
        if degraded().next().is_none() {
            bail!("the failing payment provider was not named");
        }
        let pairs = degraded().zip(degraded().skip(1));
        if let Some((before, after)) =
            pairs.into_iter().find(|(one, next)| next.web.desired < one.web.desired)
        {
            let (from, to) = (before.web.desired, after.web.desired);
            bail!("the service went from {from} to {to} replicas while the payment provider failed");
        }
        Ok(())
    }

    /// The times during which the payment provider is named as degraded: from and to.
    pub(crate) fn outages(&self) -> Vec<(f64, f64)> {
        let stretches = self.samples.chunk_by(|one, next| one.degraded == next.degraded);
        stretches
            .filter(|stretch| stretch.iter().all(|sample| sample.degraded))
            .filter_map(|stretch| Some((stretch.first()?.at, stretch.last()?.at)))
            .collect()
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
            degraded: false,
        };
        Recording { samples: web.iter().zip(workers).map(sample).collect(), ..Recording::default() }
    }

    fn check_of(recording: &Recording) -> String {
        recording.check().map_or_else(|error| error.to_string(), |()| "followed".to_owned())
    }

    fn check(web: &[i32], workers: &[i32]) -> String {
        let mut recording = recording(web, workers);
        recording.samples.iter_mut().skip(1).take(1).for_each(|sample| sample.degraded = true);
        check_of(&recording)
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
    fn a_run_in_which_the_failing_provider_took_replicas_is_a_failure() {
        let mut recording = recording(&[1, 3, 2, 1], &[0, 1, 1, 0]);
        assert!(check_of(&recording).contains("was not named"));
        recording.samples[1].degraded = true;
        assert_eq!(check_of(&recording), "followed");
        recording.samples[2].degraded = true;
        assert!(check_of(&recording).contains("from 3 to 2 replicas while"));
    }

    #[test]
    fn an_outage_lasts_from_its_first_to_its_last_sample() {
        let mut recording = recording(&[1; 6], &[0; 6]);
        for (at, sample) in (0..).zip(&mut recording.samples) {
            (sample.at, sample.degraded) = (f64::from(at), (2..5).contains(&at));
        }
        assert_eq!(recording.outages(), [(2.0, 4.0)]);
    }

    #[test]
    fn a_run_is_over_once_nothing_is_left_of_the_growth() {
        assert!(recording(&[1, 5, 1], &[0, 2, 0]).has_settled());
        assert!(!recording(&[1, 5, 2], &[0, 2, 0]).has_settled());
        assert!(!recording(&[1, 5, 1], &[0, 2, 1]).has_settled());
    }
}
