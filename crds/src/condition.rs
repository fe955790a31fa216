//! Status conditions as the Kubernetes API conventions define them. Pure.

use crate::limits::{self, Clip, clip, clip_text};
use crate::printable;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Names of the conditions that a ScalableApp has, and of the one of a ScalingOverride.
pub mod condition_type {
    /// The stack is up as declared. It never depends on Prometheus or load.
    pub const READY: &str = "Ready";
    /// The operator is still working towards the declared state (kstatus).
    pub const RECONCILING: &str = "Reconciling";
    /// The operator cannot continue without a change by a user (kstatus).
    pub const STALLED: &str = "Stalled";
    /// Every metric of every component has fresh evidence.
    pub const METRICS_AVAILABLE: &str = "MetricsAvailable";
    /// Something limits the replicas that the metrics recommend.
    pub const SCALING_LIMITED: &str = "ScalingLimited";
    /// A dependency has open circuit breakers. An app without dependencies does not have it.
    pub const DEPENDENCY_DEGRADED: &str = "DependencyDegraded";
    /// A new revision is taking over.
    pub const ROLLOUT_PROGRESSING: &str = "RolloutProgressing";
    /// The override is in force.
    pub const IN_FORCE: &str = "InForce";
}

/// A condition of the object, as in `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type of the condition, for example `Ready`.
    #[serde(rename = "type")]
    #[schemars(length(max = limits::REASON))]
    pub type_: String,
    /// Status of the condition: `True`, `False` or `Unknown`.
    pub status: ConditionStatus,
    /// The `metadata.generation` that the condition describes.
    pub observed_generation: i64,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// Reason for the status in one word; `docs/reasons.md` explains each.
    #[schemars(length(min = 1, max = limits::REASON))]
    pub reason: String,
    /// Reason for the status in a sentence, with what to change where something is wrong.
    #[schemars(length(max = limits::CONDITION_MESSAGE))]
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// True.
    True,
    /// False.
    False,
    /// Unknown.
    Unknown,
}

impl Clip for Condition {
    fn clip(mut self) -> Self {
        clip_text(&mut self.type_, limits::REASON);
        clip_text(&mut self.reason, limits::REASON);
        clip_text(&mut self.message, limits::CONDITION_MESSAGE);
        self
    }
}

impl Condition {
    /// Whether [`set_condition`] with these values would change nothing.
    #[must_use]
    pub fn says(&self, status: ConditionStatus, reason: &str, message: &str, generation: i64) -> bool {
        self.status == status
            && self.reason == reason
            && self.message == fitted(message)
            && self.observed_generation == generation
    }
}

/// The message as one printable line, within the maximum of a condition.
fn fitted(message: &str) -> Cow<'_, str> {
    match printable(message) {
        Cow::Borrowed(message) => clip(message, limits::CONDITION_MESSAGE),
        Cow::Owned(message) => Cow::Owned(clip(&message, limits::CONDITION_MESSAGE).into_owned()),
    }
}

/// Sets a condition in a list that is kept in the order of first appearance.
///
/// `lastTransitionTime` moves only when `status` does, so writing the same condition again changes nothing.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: ConditionStatus,
    reason: &str,
    message: &str,
    generation: i64,
    now: Timestamp,
) {
    let message = fitted(message).into_owned();
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

    #[test]
    fn a_message_is_one_line_of_whole_words_that_fits() {
        let mut conditions = Vec::new();
        for message in ["a\u{1b}[2J", &"wörd ".repeat(500), &"wörd\n".repeat(500), &"ö".repeat(2000)] {
            let now = Timestamp::UNIX_EPOCH;
            set_condition(&mut conditions, "Ready", ConditionStatus::True, "R", message, 1, now);
            let condition = &conditions[0];
            assert!(condition.says(ConditionStatus::True, "R", message, 1));
            assert!(condition.message.chars().count() <= 1024, "{}", condition.message);
            assert!(!condition.message.contains(char::is_control), "{}", condition.message);
        }
        let now = Timestamp::UNIX_EPOCH;
        set_condition(&mut conditions, "Ready", ConditionStatus::True, "R", &"wörd ".repeat(500), 1, now);
        assert!(conditions[0].message.ends_with("wörd wörd …"), "{}", conditions[0].message);
    }
}
