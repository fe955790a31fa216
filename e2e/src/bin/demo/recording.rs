//! The data of the demo's picture. Pure.

use anyhow::{Result, bail};

/// A run of the demo. Times are seconds since the start of the load.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recording {
    /// Corners of the offered load: time, and requests per second.
    pub(crate) offered: Vec<(f64, f64)>,
    /// Measurements of the operator, in order.
    pub(crate) samples: Vec<Sample>,
    /// The decisions that changed the replicas, the oldest first.
    pub(crate) decisions: Vec<Mark>,
}

/// One sample of the service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: f64,
    /// Requests per second; `None` while they are not measured.
    pub(crate) request_rate: Option<f64>,
    /// The 99th percentile of the latency in seconds; `None` without requests.
    pub(crate) p99: Option<f64>,
    pub(crate) desired: i32,
    pub(crate) ready: i32,
}

/// A decision on the time axis.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) at: f64,
    pub(crate) from: i32,
    pub(crate) to: i32,
    /// The reason, in sentences.
    pub(crate) reason: String,
}

impl Recording {
    /// Whether the service scaled out with the load and in again after it.
    ///
    /// # Errors
    /// With the missing step.
    pub(crate) fn check(&self) -> Result<()> {
        let desired = |sample: Option<&Sample>| sample.map(|sample| sample.desired);
        let (Some(first), Some(last)) = (desired(self.samples.first()), desired(self.samples.last())) else {
            bail!("the operator measured nothing while the load ran");
        };
        let most = self.samples.iter().map(|sample| sample.ready).max().unwrap_or(0);
        if most <= first {
            bail!("the load did not make the service scale out: it had {first} replicas all along");
        }
        if last >= most {
            bail!("the service did not scale in after the load: it still has {last} replicas");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(replicas: &[i32]) -> String {
        let sample = |desired: &i32| Sample {
            at: 0.0,
            request_rate: None,
            p99: None,
            desired: *desired,
            ready: *desired,
        };
        let recording = Recording { samples: replicas.iter().map(sample).collect(), ..Recording::default() };
        recording.check().map_or_else(|error| error.to_string(), |()| "followed".to_owned())
    }

    #[test]
    fn a_run_that_did_not_scale_out_and_in_is_a_failure() {
        assert_eq!(check(&[1, 3, 5, 1]), "followed");
        assert!(check(&[1, 1, 1]).contains("did not make the service scale out"));
        assert!(check(&[1, 5, 5]).contains("still has 5 replicas"));
        assert!(check(&[]).contains("measured nothing"));
    }
}
