//! One step of an HPA: from what the metrics ask for to what is written. Pure.

use crate::hpa::behavior::Behavior;
use crate::hpa::history::History;
use crate::hpa::normalize::{Normalized, with_behavior, without_behavior};
use crate::hpa::range::Range;
use jiff::Timestamp;

/// How a component is scaled.
#[derive(Clone, Copy, Debug)]
pub struct Scaling<'a> {
    /// The fewest and the most replicas.
    pub range: Range,
    /// How a recommendation is delayed and limited.
    pub normalization: Normalization<'a>,
}

/// How a recommendation is delayed and limited.
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

/// What a step led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Zero replicas with a minimum above zero: HPA reads that as paused.
    Disabled,
    /// More than the maximum; it acts at once and whatever the metrics say.
    AboveMax,
    /// Fewer than the minimum; it acts at once and whatever the metrics say.
    BelowMin,
    /// The metrics ask for nothing.
    NoValidMetric,
    /// The metrics ask for more than the current replicas.
    MetricAboveTarget(Normalized),
    /// Every metric asks for fewer than the current replicas.
    AllBelowTarget(Normalized),
    /// The metrics ask for the current replicas.
    AtTarget(Normalized),
}

impl Outcome {
    /// What normalization did, if the step got that far.
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
    /// Replicas that should be written; equal to the current ones if nothing should be.
    pub desired: i32,
    /// What led there.
    pub outcome: Outcome,
}

/// Does one step and records its recommendation. Once `desired` is written, [`History::record_scale`] must be told.
///
/// `proposed` is what the metrics ask for together; nothing where they cannot ask for anything.
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
