//! Events of a pass: what changed between the status before it and the status after it. Pure.

use crate::apply::events::Happening;
use scalableapp_crds::{Condition, ConditionStatus, ScalableAppStatus, condition_type};
use scalableapp_engine::reason;

/// What is worth an event. The same status twice is worth none.
#[must_use]
pub fn happenings(before: Option<&ScalableAppStatus>, after: &ScalableAppStatus) -> Vec<Happening> {
    let none = ScalableAppStatus::default();
    let before = before.unwrap_or(&none);
    scalings(before, after).chain(transitions(before, after)).collect()
}

fn scalings<'a>(
    before: &'a ScalableAppStatus,
    after: &'a ScalableAppStatus,
) -> impl Iterator<Item = Happening> + 'a {
    after.components.iter().filter_map(|component| {
        let known = before.component(&component.name)?;
        let decision = component.last_decision.as_ref()?;
        (known.desired != component.desired).then(|| Happening {
            warning: false,
            reason: reason::SCALED.name,
            action: "Scale",
            note: format!(
                "{}: {} -> {}: {}",
                component.name, known.desired, component.desired, decision.message
            ),
        })
    })
}

fn transitions<'a>(
    before: &'a ScalableAppStatus,
    after: &'a ScalableAppStatus,
) -> impl Iterator<Item = Happening> + 'a {
    after.conditions.iter().filter_map(|condition| {
        let known = before.conditions.iter().find(|known| known.type_ == condition.type_);
        let is_new =
            known.is_none_or(|known| known.status != condition.status || known.reason != condition.reason);
        let warning = is_bad(condition)?;
        (is_new && (warning || known.is_some())).then(|| Happening {
            warning,
            reason: listed(&condition.reason),
            action: "Report",
            note: condition.message.clone(),
        })
    })
}

/// Whether a condition is bad news; nothing for conditions that follow from others.
fn is_bad(condition: &Condition) -> Option<bool> {
    match condition.type_.as_str() {
        condition_type::READY | condition_type::METRICS_AVAILABLE => {
            Some(condition.status == ConditionStatus::False)
        }
        _ => None,
    }
}

/// The reason from the list, which is what conditions are made of.
fn listed(name: &str) -> &'static str {
    reason::all().find(|reason| reason.name == name).map_or("Changed", |reason| reason.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use scalableapp_crds::set_condition;
    use scalableapp_engine::reason::Reason;

    fn status(ready: ConditionStatus, reason: Reason) -> ScalableAppStatus {
        let mut status = ScalableAppStatus::default();
        let now = Timestamp::UNIX_EPOCH;
        set_condition(&mut status.conditions, "Ready", ready, reason.name, reason.sentence, 1, now);
        status
    }

    #[test]
    fn the_same_status_twice_is_no_event() {
        let up = status(ConditionStatus::True, reason::UP_AS_DECLARED);
        assert_eq!(happenings(Some(&up), &up), []);
    }

    #[test]
    fn bad_news_is_a_warning_and_good_news_is_not() {
        let up = status(ConditionStatus::True, reason::UP_AS_DECLARED);
        let down = status(ConditionStatus::False, reason::PODS_NOT_READY);
        let reasons = |before, after| -> Vec<(bool, &str)> {
            happenings(Some(before), after).iter().map(|one| (one.warning, one.reason)).collect()
        };
        assert_eq!(reasons(&up, &down), [(true, "PodsNotReady")]);
        assert_eq!(reasons(&down, &up), [(false, "UpAsDeclared")]);
    }
}
