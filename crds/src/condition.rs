//! Status conditions as the Kubernetes API conventions define them. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names of the conditions that a ScalableApp has, and of the one of a ScalingOverride.
pub mod condition_type {
    /// The stack is up as declared. It never depends on Prometheus or load.
    pub const READY: &str = "Ready";
    /// The operator is still working towards the declared state (kstatus).
    pub const RECONCILING: &str = "Reconciling";
    /// The operator cannot go on without a change by somebody (kstatus).
    pub const STALLED: &str = "Stalled";
    /// Every metric of every component has fresh evidence.
    pub const METRICS_AVAILABLE: &str = "MetricsAvailable";
    /// Something keeps the replicas from what the metrics ask for.
    pub const SCALING_LIMITED: &str = "ScalingLimited";
    /// A new revision is taking over.
    pub const ROLLOUT_PROGRESSING: &str = "RolloutProgressing";
    /// The override acts upon the scaling of its app.
    pub const IN_FORCE: &str = "InForce";
}

/// One observation about the object, in the shape of `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Name of the condition.
    #[serde(rename = "type")]
    #[schemars(length(max = 64))]
    pub type_: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// The `metadata.generation` that it was set for.
    pub observed_generation: i64,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// Why, as one word from the list in `docs/reasons.md`.
    #[schemars(length(min = 1, max = 64))]
    pub reason: String,
    /// Why, as a sentence that says what to do.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told.
    Unknown,
}

impl Condition {
    /// Whether [`set_condition`] with these would change nothing.
    #[must_use]
    pub fn says(&self, status: ConditionStatus, reason: &str, message: &str, generation: i64) -> bool {
        self.status == status
            && self.reason == reason
            && self.message == clipped(message)
            && self.observed_generation == generation
    }
}

/// The first characters of a message, as many as a condition may have.
fn clipped(message: &str) -> &str {
    message.char_indices().nth(1024).map_or(message, |(end, _)| &message[..end])
}

/// Sets a condition in a list that is kept in the order of first appearance.
///
/// `lastTransitionTime` moves only when `status` does, so that saying the same thing again changes nothing.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: ConditionStatus,
    reason: &str,
    message: &str,
    generation: i64,
    now: Timestamp,
) {
    let message = clipped(message).to_owned();
    match conditions.iter_mut().find(|condition| condition.type_ == type_) {
        Some(condition) => {
            if condition.status != status {
                condition.status = status;
                condition.last_transition_time = Time(now);
            }
            condition.observed_generation = generation;
            condition.reason = reason.to_owned();
            condition.message = message;
        }
        None => conditions.push(Condition {
            type_: type_.to_owned(),
            status,
            observed_generation: generation,
            last_transition_time: Time(now),
            reason: reason.to_owned(),
            message,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saying_the_same_again_changes_nothing() {
        let mut conditions = Vec::new();
        let first = Timestamp::UNIX_EPOCH;
        let later = Timestamp::from_second(60).expect("a valid time");
        set_condition(&mut conditions, "Ready", ConditionStatus::True, "UpAsDeclared", "All up.", 1, first);
        let before = conditions.clone();
        set_condition(&mut conditions, "Ready", ConditionStatus::True, "UpAsDeclared", "All up.", 1, later);
        assert_eq!(conditions, before);
        set_condition(&mut conditions, "Ready", ConditionStatus::False, "PodsNotReady", "1 of 2.", 1, later);
        assert_eq!(conditions[0].last_transition_time, Time(later));
    }
}
