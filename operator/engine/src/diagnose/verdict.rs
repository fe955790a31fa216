//! The result of a diagnosis: a verdict with its evidence, confidence and the least complex step. Pure.

use super::changes::Changed;
use crate::reason::{self, Reason};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A measured number behind a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// The node.
    pub node: String,
    /// Name of the series at the source.
    pub series: String,
    /// Level in normal operation.
    pub normal: f64,
    /// Level in the judged window.
    pub value: f64,
    /// How many ordinary differences above normal.
    pub z: f64,
}

/// With three digits, for example `query_seconds of main 0.21, normally 0.012`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, series, normal, value, .. } = self;
        write!(f, "{series} of {node} {}, normally {}", rounded(*value), rounded(*normal))
    }
}

/// A number with three significant digits, or all of them before the point.
#[must_use]
pub fn rounded(value: f64) -> String {
    let digits = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    let decimals = (2.0 - digits).clamp(0.0, 9.0);
    let text = format!("{value:.*}", decimals as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

impl From<&Changed> for Number {
    fn from(one: &Changed) -> Self {
        let Changed { source, name, change, .. } = one;
        Self {
            node: source.clone(),
            series: name.clone(),
            normal: change.normal,
            value: change.value,
            z: change.z(),
        }
    }
}

/// The least complex step that addresses a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Intervention {
    /// Nothing.
    Nothing,
    /// Fix the code, or roll back.
    Code,
    /// Add an index, change the query, shorten the transaction.
    Query,
    /// Enlarge the connection pool within the budget of the database.
    EnlargePool,
    /// Shrink connection pools, or put a pooler in front.
    ShrinkPools,
    /// Give the cache more memory, or a shard.
    Cache,
    /// Read from fewer replicas until they caught up; add none.
    HoldReplicas,
    /// Protect the caller by a time-out, a circuit breaker and a fallback; add no pods.
    CircuitBreaker,
    /// Shed load and limit repeated calls.
    ShedLoad,
    /// Run more pods.
    MorePods,
    /// Raise the CPU request and limit.
    MoreCpu,
    /// Raise the memory request and limit.
    MoreMemory,
    /// Reduce what is read and written, or use faster storage.
    Storage,
    /// Raise the quota, or add nodes.
    Capacity,
}

impl Intervention {
    /// One word in PascalCase.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "Nothing",
            Self::Code => "Code",
            Self::Query => "Query",
            Self::EnlargePool => "EnlargePool",
            Self::ShrinkPools => "ShrinkPools",
            Self::Cache => "Cache",
            Self::HoldReplicas => "HoldReplicas",
            Self::CircuitBreaker => "CircuitBreaker",
            Self::ShedLoad => "ShedLoad",
            Self::MorePods => "MorePods",
            Self::MoreCpu => "MoreCpu",
            Self::MoreMemory => "MoreMemory",
            Self::Storage => "Storage",
            Self::Capacity => "Capacity",
        }
    }

    /// One sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Nothing => "Do nothing.",
            Self::Code => {
                "Look at the last change of the code or of its settings. More capacity does not help."
            }
            Self::Query => {
                "Add an index, change the query, or shorten the transaction. More pods do not help."
            }
            Self::EnlargePool => {
                "Enlarge the connection pool within the budget of the database. No pod and no replica is needed."
            }
            Self::ShrinkPools => {
                "Shrink connection pools or use a pooler. Add no pods until connections are free."
            }
            Self::Cache => "Give the cache more memory, or a shard.",
            Self::HoldReplicas => {
                "Read from the primary until the replicas have caught up. Another replica does not help."
            }
            Self::CircuitBreaker => {
                "Protect the callers by a time-out, a circuit breaker and a fallback. More pods do not help."
            }
            Self::ShedLoad => "Shed load, and limit repeated calls to a share of the first ones.",
            Self::MorePods => "Run more pods.",
            Self::MoreCpu => "Raise the CPU limit, or run more pods.",
            Self::MoreMemory => "Raise the memory request and limit.",
            Self::Storage => "Reduce reads and writes, or use faster storage.",
            Self::Capacity => "Raise the quota, or add machines. Asking for more pods does not help.",
        }
    }
}

/// What a cause found at a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The node that has the cause.
    pub node: String,
    /// The cause.
    pub cause: Reason,
    /// From 0 to 1: how far above normal and how near a limit.
    pub strength: f64,
    /// The numbers behind it.
    pub evidence: Vec<Number>,
    /// The least complex step that addresses it.
    pub intervention: Intervention,
}

/// The verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing is wrong.
    Healthy,
    /// One cause.
    Cause(Finding),
    /// Latency or failures grew, and no resource did.
    NotAScalingProblem {
        /// The node where they grew.
        node: String,
        /// The numbers behind it.
        evidence: Vec<Number>,
    },
    /// Two candidates are too close.
    Unknown {
        /// Both, the likelier first.
        candidates: [(String, Reason); 2],
        /// The one measurement that would decide between them.
        deciding: String,
    },
}

/// A verdict, the order of the nodes, and how far the first is from the second.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// The verdict.
    pub verdict: Verdict,
    /// Nodes, the likeliest first; empty where nothing is wrong.
    pub ranking: Vec<String>,
    /// From 0 to 1: the margin to the second node or cause, whichever is closer.
    pub confidence: f64,
}

impl Diagnosis {
    pub(crate) fn healthy() -> Self {
        Self { verdict: Verdict::Healthy, ranking: Vec::new(), confidence: 1.0 }
    }

    /// The reason of the verdict, for conditions and events.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match &self.verdict {
            Verdict::Healthy => reason::HEALTHY,
            Verdict::Cause(finding) => finding.cause,
            Verdict::NotAScalingProblem { .. } => reason::NOT_A_SCALING_PROBLEM,
            Verdict::Unknown { .. } => reason::UNKNOWN,
        }
    }

    /// The least complex step.
    #[must_use]
    pub fn intervention(&self) -> Intervention {
        match &self.verdict {
            Verdict::Cause(finding) => finding.intervention,
            Verdict::NotAScalingProblem { .. } => Intervention::Code,
            Verdict::Healthy | Verdict::Unknown { .. } => Intervention::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.0, 0.012_34, 1.5, 123.456, 98765.4, -0.25].map(rounded);
        assert_eq!(shown, ["0", "0.0123", "1.5", "123", "98765", "-0.25"]);
    }
}
