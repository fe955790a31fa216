//! Metrics of a component, with their targets and units. Pure.

use crate::hpa::signal::{Assumed, PodTarget, Proposal};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// A metric that a component is scaled on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Name, unique within the component.
    pub name: String,
    /// The measurement and its target.
    pub target: Target,
}

/// The measurement and its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Target {
    /// Requests per second of the whole component.
    RequestRate {
        /// Thousandths of a request per second for each replica, above 0.
        per_replica: i64,
    },
    /// The result of a query, as a total over the component.
    Prometheus {
        /// Thousandths of the result for each replica, above 0.
        per_replica: i64,
    },
    /// CPU of the pods.
    Cpu(PodTarget),
    /// Memory of the pods.
    Memory(PodTarget),
    /// A quantile of the latency, read in seconds.
    Latency {
        /// The quantile, between 0 and 1.
        quantile: f64,
        /// The highest acceptable latency, above 0.
        target: SignedDuration,
    },
    /// The backlog of the queues of a pool of workers.
    Backlog(Backlog),
    /// The keys that a cache evicts.
    Evictions,
}

/// How soon the jobs of a pool of workers should be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    /// Time in which the waiting jobs should be started, at least 1 s.
    pub drain_within: SignedDuration,
    /// The highest acceptable age of a due job, above 0; `None` where the age does not count.
    pub oldest_within: Option<SignedDuration>,
    /// Jobs that a pod runs at the same time, from 1 to 1000.
    pub concurrency: i32,
}

impl Target {
    /// The measurement of a proposal, in thousandths of its displayed unit.
    pub(crate) fn measured(&self, proposal: &Proposal) -> i64 {
        proposal.utilization.map_or(proposal.usage, |percent| i64::from(percent) * 1000)
    }

    /// A measured value with its unit.
    pub(crate) fn show(&self, milli: i64) -> String {
        match self {
            Self::RequestRate { .. } => format!("{}/s per replica", decimal(milli)),
            Self::Prometheus { .. } => format!("{} per replica", decimal(milli)),
            Self::Cpu(PodTarget::Utilization(_)) | Self::Memory(PodTarget::Utilization(_)) => {
                format!("{}%", decimal(milli))
            }
            Self::Cpu(PodTarget::AverageValue(_)) => format!("{} cores", decimal(milli)),
            Self::Memory(PodTarget::AverageValue(_)) => format!("{}Mi", decimal(milli / (1024 * 1024))),
            // Latency is counted in microseconds, which are thousandths of a millisecond.
            Self::Latency { .. } => format!("{}ms", decimal(milli)),
            Self::Backlog(_) => format!("{} waiting", decimal(milli)),
            Self::Evictions => format!("{}/s evicted", decimal(milli)),
        }
    }

    /// The assumed usage of pods without a sample, with its unit.
    pub(crate) fn show_assumed(&self, assumed: Assumed) -> String {
        match self {
            _ if assumed.idle => self.show(0),
            Self::Cpu(PodTarget::Utilization(percent)) | Self::Memory(PodTarget::Utilization(percent)) => {
                self.show(i64::from(*percent.max(&100)) * 1000)
            }
            _ => self.show_target(),
        }
    }

    /// The target with its unit.
    pub(crate) fn show_target(&self) -> String {
        match self {
            Self::RequestRate { per_replica } | Self::Prometheus { per_replica } => self.show(*per_replica),
            Self::Cpu(target) | Self::Memory(target) => self.show(match target {
                PodTarget::Utilization(percent) => i64::from(*percent) * 1000,
                PodTarget::AverageValue(milli) => *milli,
            }),
            Self::Latency { quantile, target } => {
                format!("{} at quantile {quantile}", self.show(micros(*target)))
            }
            Self::Backlog(backlog) => {
                let oldest = backlog.oldest_within.map(|age| format!(", none older than {}s", age.as_secs()));
                format!("drained within {}s{}", backlog.drain_within.as_secs(), oldest.unwrap_or_default())
            }
            Self::Evictions => "a hit ratio that does not fall".to_owned(),
        }
    }
}

/// Whole microseconds of a duration, at most what an i64 holds.
pub(crate) fn micros(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A number in thousandths, rounded. The conversion saturates.
pub(crate) fn thousandths(value: f64) -> i64 {
    (value * 1000.0).round() as i64
}

/// Thousandths as a decimal number without trailing zeros; Kubernetes reads it as a quantity.
pub(crate) fn decimal(milli: i64) -> String {
    let sign = if milli < 0 { "-" } else { "" };
    let (whole, fraction) = (milli.unsigned_abs() / 1000, milli.unsigned_abs() % 1000);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let digits = format!("{fraction:03}");
    format!("{sign}{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_with_their_unit() {
        let cpu = Target::Cpu(PodTarget::AverageValue(250));
        let memory = Target::Memory(PodTarget::AverageValue(256 * 1024 * 1024 * 1000));
        let latency = Target::Latency { quantile: 0.99, target: SignedDuration::from_millis(300) };
        assert_eq!(Target::RequestRate { per_replica: 50_000 }.show(58_340), "58.34/s per replica");
        assert_eq!(Target::Cpu(PodTarget::Utilization(70)).show_target(), "70%");
        assert_eq!((cpu.show_target().as_str(), cpu.show(1_500).as_str()), ("0.25 cores", "1.5 cores"));
        assert_eq!(memory.show_target(), "256Mi");
        assert_eq!(
            (latency.show_target().as_str(), latency.show(412_500).as_str()),
            ("300ms at quantile 0.99", "412.5ms")
        );
        assert_eq!(decimal(-1_050), "-1.05");
        let [minute, two] = [60, 120].map(SignedDuration::from_secs);
        let backlog =
            |oldest_within| Target::Backlog(Backlog { drain_within: minute, oldest_within, concurrency: 8 });
        assert_eq!(
            (backlog(None).show(340_000), backlog(None).show_target()),
            ("340 waiting".into(), "drained within 60s".into())
        );
        assert_eq!(backlog(Some(two)).show_target(), "drained within 60s, none older than 120s");
    }
}
