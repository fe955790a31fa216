//! Whether a sample is valid: fresh, stale, absent or implausible. Pure.
//!
//! Absent is not zero. Only a fresh sample can propose replicas. The other three make the metric invalid, and then
//! nothing scales in.

use crate::hpa::pod::{ByResource, Pod, PodSample};
use crate::reason::{self, Reason};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The query result for one metric of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The value of each series; exactly one is expected.
    #[serde(with = "crate::evidence::exact")]
    pub values: Vec<f64>,
    /// Time of the oldest sample behind the value; `None` if not known.
    pub at: Option<Timestamp>,
    /// Number of pods behind the value; `None` where a query does not return it.
    pub coverage: Option<Coverage>,
    /// The averaging window of the value; `None` for an instant, or where a query does not return it.
    pub window: Option<Window>,
    /// Requests in flight; `None` where there are none, or they are not measured.
    pub in_flight: Option<u32>,
    /// Whether some servers with data did not answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_partial: bool,
}

/// Number of pods behind a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Pods that reported.
    pub reporting: u32,
}

/// The averaging window of a value, and what is known of its completeness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its length.
    pub length: SignedDuration,
    /// Pods that reported at its start.
    pub start: Coverage,
    /// Counter resets within it.
    pub resets: u32,
}

/// A valid value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fresh {
    /// The value, finite and not negative.
    pub value: f64,
    /// When it was measured.
    pub at: Timestamp,
}

/// The quality of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Valid.
    Fresh,
    /// Too old.
    Stale,
    /// Missing, or not from every pod.
    Absent,
    /// Present, but it cannot be true.
    Implausible,
}

/// Why a sample is invalid.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SampleError {
    /// The newest sample is older than the limit.
    #[error("stale: {0} s old")]
    TooOld(i64),
    /// The query returned nothing.
    #[error("absent: no sample")]
    NoSample,
    /// The age of the sample is not known.
    #[error("absent: the age of the sample is not known")]
    AgeUnknown,
    /// Some pods that should report do not.
    #[error("absent: {reporting} of {expected} pods report")]
    Partial {
        /// Pods that reported.
        reporting: u32,
        /// Pods that should have.
        expected: u32,
    },
    /// The answer may lack data.
    #[error("absent: some of the servers behind Prometheus did not answer")]
    Incomplete,
    /// No pod is ready, so the served requests do not show the demand.
    #[error("absent: no pod is ready, so the demand is not known")]
    NobodyServes,
    /// Several series where one is expected.
    #[error("implausible: {0} series, make the query return one")]
    ManySeries(usize),
    /// Not a number.
    #[error("implausible: not a number")]
    NotANumber,
    /// Infinite.
    #[error("implausible: infinite")]
    Infinite,
    /// Less than zero.
    #[error("implausible: negative")]
    Negative,
    /// No request ends while some are in flight.
    #[error("implausible: 0/s while {0} requests are in flight")]
    ZeroWhileServing(u32),
    /// Later than now by more than clocks differ.
    #[error("implausible: {0} s in the future, check the clocks")]
    InTheFuture(i64),
}

impl SampleError {
    /// The quality of an invalid sample.
    pub fn quality(&self) -> Quality {
        match self {
            Self::TooOld(_) => Quality::Stale,
            Self::NoSample
            | Self::AgeUnknown
            | Self::Partial { .. }
            | Self::Incomplete
            | Self::NobodyServes => Quality::Absent,
            Self::ManySeries(_)
            | Self::NotANumber
            | Self::Infinite
            | Self::Negative
            | Self::ZeroWhileServing(_)
            | Self::InTheFuture(_) => Quality::Implausible,
        }
    }

    /// The reason for a metric with such a sample.
    pub fn reason(&self) -> Reason {
        if matches!(self, Self::ZeroWhileServing(_)) {
            return reason::ZERO_WHILE_SERVING;
        }
        match self.quality() {
            Quality::Stale => reason::METRIC_STALE,
            Quality::Implausible => reason::METRIC_IMPLAUSIBLE,
            Quality::Absent | Quality::Fresh => reason::METRIC_ABSENT,
        }
    }
}

/// Checks a query result; no reading means that the query was not answered. `pods` are the component's.
///
/// # Errors
/// When the sample is invalid.
pub fn judge(
    reading: Option<&Reading>,
    pods: &[Pod],
    now: Timestamp,
    max_age: SignedDuration,
) -> Result<Fresh, SampleError> {
    let fresh = judge_value(reading, now, max_age)?;
    match reading.and_then(|reading| reading.lack(pods, now, max_age)) {
        Some(lack) => Err(lack),
        None => Ok(fresh),
    }
}

/// Checks value and age alone. Where each pod adds to the value, it is then a lower bound, whichever pods report.
///
/// # Errors
/// When the value or its age is invalid.
pub fn judge_value(
    reading: Option<&Reading>,
    now: Timestamp,
    max_age: SignedDuration,
) -> Result<Fresh, SampleError> {
    let reading = reading.ok_or(SampleError::NoSample)?;
    let value = match reading.values[..] {
        [] => return Err(SampleError::NoSample),
        [value] => value,
        [..] => return Err(SampleError::ManySeries(reading.values.len())),
    };
    judge_number(value)?;
    let at = judge_time(reading.at, now, max_age)?;
    Ok(Fresh { value, at })
}

/// Checks that a value can be true.
pub(crate) fn judge_number(value: f64) -> Result<(), SampleError> {
    if value.is_nan() {
        return Err(SampleError::NotANumber);
    }
    if value < 0.0 {
        return Err(SampleError::Negative);
    }
    if value.is_infinite() {
        return Err(SampleError::Infinite);
    }
    Ok(())
}

/// Checks that a sample is neither too old nor from the future.
pub(crate) fn judge_time(
    at: Option<Timestamp>,
    now: Timestamp,
    max_age: SignedDuration,
) -> Result<Timestamp, SampleError> {
    let at = at.ok_or(SampleError::AgeUnknown)?;
    let age = now.duration_since(at);
    if age > max_age {
        return Err(SampleError::TooOld(age.as_secs()));
    }
    if age < -max_age {
        return Err(SampleError::InTheFuture(-age.as_secs()));
    }
    Ok(at)
}

impl Reading {
    /// What is missing of an incomplete value. Where each part adds to it, it is a lower bound.
    pub fn lack(&self, pods: &[Pod], now: Timestamp, max_age: SignedDuration) -> Option<SampleError> {
        let missing = self.coverage.and_then(|coverage| coverage.lack(pods, now, max_age));
        missing.or(self.is_partial.then_some(SampleError::Incomplete))
    }
}

impl Coverage {
    /// What is missing, if pods that should report do not: those that are not being deleted and have been ready for
    /// `time`, long enough for a scrape.
    pub fn lack(self, pods: &[Pod], now: Timestamp, time: SignedDuration) -> Option<SampleError> {
        let reporting = self.reporting;
        let expected = pods.iter().filter(|pod| !pod.deleting && pod.is_ready_for(time, now)).count();
        let expected = u32::try_from(expected).unwrap_or(u32::MAX);
        (reporting < expected).then_some(SampleError::Partial { reporting, expected })
    }
}

/// The pods without their invalid samples; HPA's rules for pods without a sample then apply to them.
pub fn with_fresh_samples(pods: &[Pod], now: Timestamp, max_age: SignedDuration) -> Cow<'_, [Pod]> {
    let fresh = |sample: PodSample| {
        let age = now.duration_since(sample.at);
        sample.milli >= 0 && age <= max_age && age >= -max_age
    };
    let all_fresh = |pod: &Pod| pod.usage.cpu.is_none_or(fresh) && pod.usage.memory.is_none_or(fresh);
    if pods.iter().all(all_fresh) {
        return Cow::Borrowed(pods);
    }
    let mut pods = pods.to_vec();
    for pod in &mut pods {
        let ByResource { cpu, memory } = pod.usage;
        pod.usage =
            ByResource { cpu: cpu.filter(|one| fresh(*one)), memory: memory.filter(|one| fresh(*one)) };
    }
    Cow::Owned(pods)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpa::pod::{Phase, Ready, ReadyStatus};

    const MAX_AGE: SignedDuration = SignedDuration::from_secs(60);

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("a valid time")
    }

    fn reading(values: &[f64]) -> Reading {
        Reading { values: values.to_vec(), at: Some(now()), ..Reading::default() }
    }

    #[test]
    fn absent_is_not_zero() {
        assert_eq!(judge(None, &[], now(), MAX_AGE), Err(SampleError::NoSample));
        assert_eq!(judge(Some(&reading(&[])), &[], now(), MAX_AGE), Err(SampleError::NoSample));
        assert_eq!(judge(Some(&reading(&[0.0])), &[], now(), MAX_AGE), Ok(Fresh { value: 0.0, at: now() }));
    }

    #[test]
    fn what_cannot_be_true_is_implausible() {
        for values in [&[f64::NAN][..], &[f64::INFINITY], &[f64::NEG_INFINITY], &[-1.0], &[1.0, 2.0]] {
            let error = judge(Some(&reading(values)), &[], now(), MAX_AGE).expect_err("an error");
            assert_eq!(error.quality(), Quality::Implausible, "{values:?}");
        }
        let ahead = Reading { at: Some(now() + MAX_AGE * 2), ..reading(&[1.0]) };
        assert_eq!(judge(Some(&ahead), &[], now(), MAX_AGE), Err(SampleError::InTheFuture(120)));
    }

    #[test]
    fn a_large_value_is_no_implausible_one() {
        for value in [1e13, 1e18, f64::MAX] {
            assert_eq!(judge(Some(&reading(&[value])), &[], now(), MAX_AGE), Ok(Fresh { value, at: now() }));
        }
    }

    #[test]
    fn age_counts_from_the_oldest_sample() {
        let aged = |age| Reading { at: Some(now() - age), ..reading(&[1.0]) };
        assert!(judge(Some(&aged(MAX_AGE)), &[], now(), MAX_AGE).is_ok());
        let old = aged(MAX_AGE + SignedDuration::from_secs(1));
        assert_eq!(judge(Some(&old), &[], now(), MAX_AGE), Err(SampleError::TooOld(61)));
        let unknown = Reading { at: None, ..reading(&[1.0]) };
        assert_eq!(judge(Some(&unknown), &[], now(), MAX_AGE), Err(SampleError::AgeUnknown));
    }

    #[test]
    fn a_sum_over_some_of_the_pods_is_absent() {
        let partial = Reading { coverage: Some(Coverage { reporting: 2 }), ..reading(&[1.0]) };
        let judged = |pods: &[Pod]| judge(Some(&partial), pods, now(), MAX_AGE);
        let error = judged(&[ready_for(61), ready_for(90), ready_for(90)]).expect_err("an error");
        assert_eq!(
            (error.quality(), error.to_string().as_str()),
            (Quality::Absent, "absent: 2 of 3 pods report")
        );
        let leaving = Pod { deleting: true, ..ready_for(90) };
        assert!(
            judged(&[ready_for(59), ready_for(90), ready_for(90), leaving]).is_ok(),
            "young, and leaving"
        );
    }

    fn ready_for(seconds: i64) -> Pod {
        let since = now() - SignedDuration::from_secs(seconds);
        Pod {
            name: "web".into(),
            phase: Phase::Running,
            deleting: false,
            ready: Some(Ready { status: ReadyStatus::True, since }),
            start: Some(since),
            containers: [].into(),
            requests: ByResource::default(),
            usage: ByResource::default(),
        }
    }
}
