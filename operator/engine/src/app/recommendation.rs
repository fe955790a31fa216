//! The recommendation of all metrics together. Pure.

use crate::hpa::combine::combine;
use crate::propose::evaluate::{MetricResult, Signal};
use crate::propose::metric::Target;
use crate::reason::{self, Reason};

/// The recommendation of all metrics together.
pub(crate) struct Recommendation {
    /// Recommended replicas; `None` where a missing metric forbids it.
    pub(crate) replicas: Option<i32>,
    /// The largest proposal, valid or not.
    pub(crate) largest: Option<i32>,
    /// The largest proposal of metrics other than latency.
    pub(crate) largest_without_latency: Option<i32>,
    /// The largest proposal without those of short windows.
    pub(crate) largest_without_recent: Option<i32>,
    /// Whether latency raised a smaller number to the current one.
    pub(crate) kept_by_latency: bool,
    /// Whether no declared metric can propose fewer replicas.
    pub(crate) is_fixed: bool,
}

impl Recommendation {
    pub(crate) fn of(signals: &[Signal<'_>], current: i32, min: i32) -> Self {
        let (latencies, others): (Vec<_>, Vec<_>) = signals.iter().partition(|signal| is_latency(signal));
        if others.is_empty() {
            let largest = Some(if signals.is_empty() { min } else { current });
            return Self {
                replicas: largest,
                largest,
                largest_without_latency: largest,
                largest_without_recent: largest,
                kept_by_latency: false,
                is_fixed: true,
            };
        }
        let more = latencies.iter().filter_map(|signal| signal.replicas()).map(Some);
        let counted = others.iter().filter(|signal| !matches!(signal.result, MetricResult::Silent { .. }));
        let all = combine(current, counted.map(|signal| signal.replicas()).chain(more));
        let keeps = latencies.iter().any(|signal| matches!(signal.result, MetricResult::Keeps { .. }));
        Self {
            // Replicas that latency keeps are a recommendation, too, as a proposal would be.
            replicas: if keeps { all.largest.map(|largest| largest.max(current)) } else { all.replicas },
            largest: all.largest,
            largest_without_latency: others.iter().filter_map(|signal| signal.replicas()).max(),
            largest_without_recent: signals
                .iter()
                .filter_map(|signal| Some(signal.result.proposal()?.replicas))
                .max(),
            kept_by_latency: keeps && all.largest.is_some_and(|largest| largest < current),
            is_fixed: false,
        }
    }

    /// The reason for more replicas, where only a short window asks for so many.
    pub(crate) fn precisely(&self, reason: Reason, desired: i32) -> Reason {
        let is_recent = self.largest_without_recent.is_some_and(|whole| desired > whole);
        if reason == reason::METRIC_ABOVE_TARGET && is_recent {
            reason::RECENT_RATE_ABOVE_TARGET
        } else {
            reason
        }
    }
}

pub(crate) fn is_latency(signal: &Signal<'_>) -> bool {
    matches!(signal.metric.target, Target::Latency { .. })
}
