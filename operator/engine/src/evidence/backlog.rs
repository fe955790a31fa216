//! The backlog of a pool of workers, and whether it is valid. Pure.

use crate::evidence::exact;
use crate::evidence::sample::{SampleError, judge_number, judge_time};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The backlog of the queues of one pool. Rates are averages over one window, of at least two scrapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BacklogReading {
    /// Time of the oldest sample behind any of the values; `None` if not known.
    pub at: Option<Timestamp>,
    /// Jobs that were enqueued, per second; the sum over the queues.
    #[serde(with = "exact::number")]
    pub arrivals_per_second: f64,
    /// Jobs that ended, per second: those done, and those given up. A failure that is retried is not counted. `None` where
    /// nobody counts them.
    #[serde(default, with = "exact::optional", skip_serializing_if = "Option::is_none")]
    pub finished_per_second: Option<f64>,
    /// Jobs that are due and do not run; the sum over the queues.
    #[serde(with = "exact::number")]
    pub waiting: f64,
    /// Jobs that run; the sum over the queues. `None` where nobody counts them.
    #[serde(default, with = "exact::optional", skip_serializing_if = "Option::is_none")]
    pub running: Option<f64>,
    /// Age of the oldest job that is due and does not run, in seconds; 0 without one. The highest over the queues.
    #[serde(with = "exact::number")]
    pub oldest_seconds: f64,
    /// Mean duration of the jobs that ended within the window, in seconds; `None` where none ended.
    #[serde(default, with = "exact::optional", skip_serializing_if = "Option::is_none")]
    pub seconds_per_job: Option<f64>,
}

impl BacklogReading {
    /// Whether there is no job: none arrives, none waits and none runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.arrivals_per_second <= 0.0 && self.waiting <= 0.0 && !self.has_running()
    }

    /// Whether jobs are known to run.
    pub(crate) fn has_running(&self) -> bool {
        self.running.is_some_and(|running| running > 0.0)
    }
}

/// Checks a backlog as [`crate::evidence::sample::judge_value`] checks a value; no reading means that a query was not
/// answered.
///
/// # Errors
/// When a value or the age is invalid.
pub fn judge_backlog(
    reading: Option<&BacklogReading>,
    now: Timestamp,
    max_age: SignedDuration,
) -> Result<&BacklogReading, SampleError> {
    let reading = reading.ok_or(SampleError::NoSample)?;
    let needed = [reading.arrivals_per_second, reading.waiting, reading.oldest_seconds];
    let known = [reading.finished_per_second, reading.running, reading.seconds_per_job];
    needed.into_iter().chain(known.into_iter().flatten()).try_for_each(judge_number)?;
    judge_time(reading.at, now, max_age)?;
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::sample::Quality;

    const MAX_AGE: SignedDuration = SignedDuration::from_secs(60);
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn quality(change: impl Fn(&mut BacklogReading)) -> Quality {
        let mut reading = BacklogReading { at: Some(NOW), ..BacklogReading::default() };
        change(&mut reading);
        judge_backlog(Some(&reading), NOW, MAX_AGE).map_or_else(|error| error.quality(), |_| Quality::Fresh)
    }

    #[test]
    fn a_backlog_is_fresh_stale_absent_or_implausible() {
        assert_eq!(judge_backlog(None, NOW, MAX_AGE), Err(SampleError::NoSample));
        assert_eq!(quality(|_| ()), Quality::Fresh, "an empty queue is a measurement");
        assert_eq!(quality(|reading| reading.at = None), Quality::Absent);
        assert_eq!(quality(|reading| reading.at = Some(NOW - MAX_AGE * 2)), Quality::Stale);
        assert_eq!(quality(|reading| reading.at = Some(NOW + MAX_AGE * 2)), Quality::Implausible);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            let of = |set: fn(&mut BacklogReading, f64)| quality(|reading| set(reading, value));
            assert_eq!(of(|reading, value| reading.arrivals_per_second = value), Quality::Implausible);
            assert_eq!(of(|reading, value| reading.finished_per_second = Some(value)), Quality::Implausible);
            assert_eq!(of(|reading, value| reading.waiting = value), Quality::Implausible);
            assert_eq!(of(|reading, value| reading.running = Some(value)), Quality::Implausible);
            assert_eq!(of(|reading, value| reading.oldest_seconds = value), Quality::Implausible);
            assert_eq!(of(|reading, value| reading.seconds_per_job = Some(value)), Quality::Implausible);
        }
    }

    #[test]
    fn what_json_cannot_say_is_kept_all_the_same() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1 + 0.2] {
            let reading =
                BacklogReading { waiting: value, seconds_per_job: Some(value), ..BacklogReading::default() };
            let text = serde_json::to_string(&reading).expect("JSON");
            let read: BacklogReading = serde_json::from_str(&text).expect("a reading");
            let bits = [read.waiting, read.seconds_per_job.expect("a duration")].map(f64::to_bits);
            assert_eq!(bits, [value.to_bits(); 2], "{text}");
        }
    }
}
