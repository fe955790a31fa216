//! One step of an HPA: from the recommendation to the replicas to write. Pure.

use crate::hpa::behavior::Behavior;
use crate::hpa::history::History;
use crate::hpa::normalize::{Normalized, with_behavior, without_behavior};
use crate::hpa::range::Range;
use jiff::Timestamp;

/// How a component is scaled.
#[derive(Clone, Copy, Debug)]
pub struct Scaling<'a> {
    /// Minimum and maximum replicas.
    pub range: Range,
    /// Limits of a recommendation.
    pub normalization: Normalization<'a>,
}

/// Limits of a recommendation.
#[derive(Clone, Copy, Debug)]
pub enum Normalization<'a> {
    /// By a behavior.
    Behavior(&'a Behavior),
    /// As HPA v1 did, and HPA v2 does where no behavior is given.
    Legacy {
        /// Seconds of stabilization before fewer replicas.
        downscale_stabilization_seconds: i32,
    },
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Zero replicas with a minimum above zero: HPA treats that as paused.
    Disabled,
    /// Above the maximum; this is corrected at once, whatever the metrics recommend.
    AboveMax,
    /// Below the minimum; this is corrected at once, whatever the metrics recommend.
    BelowMin,
    /// There is no recommendation.
    NoValidMetric,
    /// The recommendation is above the current replicas.
    MetricAboveTarget(Normalized),
    /// Every metric proposes fewer than the current replicas.
    AllBelowTarget(Normalized),
    /// The recommendation is the current replicas.
    AtTarget(Normalized),
}

impl Outcome {
    /// The effect of normalization, if the step got that far.
    pub fn normalized(&self) -> Option<&Normalized> {
        match self {
            Self::MetricAboveTarget(normalized)
            | Self::AllBelowTarget(normalized)
            | Self::AtTarget(normalized) => Some(normalized),
            Self::Disabled | Self::AboveMax | Self::BelowMin | Self::NoValidMetric => None,
        }
    }
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Replicas to write; equal to the current ones if nothing is to be written.
    pub desired: i32,
    /// Why.
    pub outcome: Outcome,
}

/// Does one step and records its recommendation. Once `desired` is written, call [`History::record_scale`].
///
/// `proposed` is the recommendation of all metrics; `None` without one.
pub fn step(
    scaling: &Scaling<'_>,
    history: &mut History,
    now: Timestamp,
    current: i32,
    proposed: Option<i32>,
) -> Step {
    history.seed(now, current);
    let Range { min, max } = scaling.range;
    if current == 0 && min != 0 {
        return Step { desired: current, outcome: Outcome::Disabled };
    }
    if current > max {
        return Step { desired: max, outcome: Outcome::AboveMax };
    }
    if current < min {
        return Step { desired: min, outcome: Outcome::BelowMin };
    }
    let Some(recommended) = proposed else {
        return Step { desired: current, outcome: Outcome::NoValidMetric };
    };
    let range = scaling.range;
    let normalized = match scaling.normalization {
        Normalization::Behavior(behavior) => {
            with_behavior(behavior, range, history, now, current, recommended)
        }
        Normalization::Legacy { downscale_stabilization_seconds: window } => {
            without_behavior(window, range, history, now, current, recommended)
        }
    };
    let outcome = match recommended.cmp(&current) {
        std::cmp::Ordering::Greater => Outcome::MetricAboveTarget(normalized),
        std::cmp::Ordering::Less => Outcome::AllBelowTarget(normalized),
        std::cmp::Ordering::Equal => Outcome::AtTarget(normalized),
    };
    Step { desired: normalized.replicas, outcome }
}
