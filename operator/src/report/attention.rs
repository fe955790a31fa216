//! The conditions of an app that need attention, as a metric for alerts. Pure.
//!
//! Their number is bounded: an app that is well has none, and no text of an object becomes a label.

use scalableapp_crds::{Condition, ConditionStatus, condition_type};
use scalableapp_engine::reason::{self, Reason};

/// Limits of the replicas that people have to act on. The others are policies, or end by themselves.
const LIMITS: [Reason; 3] = [reason::CONNECTION_BUDGET, reason::PODS_REFUSED, reason::UNSCHEDULABLE];

/// A condition by its type, its status and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention {
    /// The type.
    pub type_: &'static str,
    /// The status as one word.
    pub status: &'static str,
    /// The reason.
    pub reason: Reason,
}

/// Those of these conditions that need attention.
pub fn attention(conditions: &[Condition]) -> impl Iterator<Item = Attention> {
    conditions.iter().filter_map(|condition| {
        let reason = reason::all().find(|reason| reason.name == condition.reason)?;
        let is_true = condition.status == ConditionStatus::True;
        let is_false = condition.status == ConditionStatus::False;
        let (type_, needs_it) = match condition.type_.as_str() {
            condition_type::READY => (condition_type::READY, !is_true),
            condition_type::STALLED => (condition_type::STALLED, !is_false),
            condition_type::METRICS_AVAILABLE => (condition_type::METRICS_AVAILABLE, !is_true),
            condition_type::DEPENDENCY_DEGRADED => (condition_type::DEPENDENCY_DEGRADED, !is_false),
            condition_type::SCALING_LIMITED => {
                (condition_type::SCALING_LIMITED, is_true && LIMITS.contains(&reason))
            }
            _ => return None,
        };
        let status = match condition.status {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        };
        needs_it.then_some(Attention { type_, status, reason })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use scalableapp_crds::set_condition;

    fn of(conditions: &[(&str, ConditionStatus, &str)]) -> Vec<Attention> {
        let mut list = Vec::new();
        for (type_, status, reason) in conditions {
            set_condition(&mut list, type_, *status, reason, "", 1, Timestamp::UNIX_EPOCH);
        }
        attention(&list).collect()
    }

    #[test]
    fn an_app_that_is_well_needs_none() {
        let well = [
            ("Ready", ConditionStatus::True, "UpAsDeclared"),
            ("Reconciling", ConditionStatus::True, "RollingOut"),
            ("Stalled", ConditionStatus::False, "NotStalled"),
            ("MetricsAvailable", ConditionStatus::True, "AllMetricsFresh"),
            ("ScalingLimited", ConditionStatus::True, "MinReplicas"),
            ("DependencyDegraded", ConditionStatus::False, "DependenciesWell"),
            ("RolloutProgressing", ConditionStatus::True, "RollingOut"),
        ];
        assert_eq!(of(&well), []);
    }

    #[test]
    fn what_is_wrong_or_not_known_needs_it() {
        let wrong = [
            ("Ready", ConditionStatus::False, "Unschedulable"),
            ("Stalled", ConditionStatus::True, "InvalidSpec"),
            ("MetricsAvailable", ConditionStatus::Unknown, "NotMeasuredYet"),
            ("ScalingLimited", ConditionStatus::True, "ConnectionBudget"),
            ("DependencyDegraded", ConditionStatus::True, "DependencyDegraded"),
        ];
        let words = of(&wrong).into_iter().map(|one| (one.type_, one.status, one.reason.name));
        let expected = [
            ("Ready", "False", "Unschedulable"),
            ("Stalled", "True", "InvalidSpec"),
            ("MetricsAvailable", "Unknown", "NotMeasuredYet"),
            ("ScalingLimited", "True", "ConnectionBudget"),
            ("DependencyDegraded", "True", "DependencyDegraded"),
        ];
        assert_eq!(words.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_text_that_is_no_reason_is_no_label() {
        assert_eq!(
            of(&[
                ("Ready", ConditionStatus::False, "Made-up"),
                ("Other", ConditionStatus::False, "Deleting")
            ]),
            []
        );
    }
}
