//! Events of a pass: the changes between the status before it and the status after it. Pure.

use crate::{decide::component_state::OTHER_SCALER, event::Event};
use scalableapp_crds::{
    BottleneckStatus, Condition, ConditionStatus, RolloutPhase, RolloutStatus, ScalableAppStatus, TakenAct,
    condition_type,
};
use scalableapp_engine::reason;

/// The changes that are reported as events. The same status twice has none.
#[must_use]
pub fn events(before: Option<&ScalableAppStatus>, after: &ScalableAppStatus) -> Vec<Event> {
    let none = ScalableAppStatus::default();
    let before = before.unwrap_or(&none);
    scalings(before, after)
        .chain(transitions(before, after))
        .chain(bottleneck(before, after))
        .chain(rollouts(before, after))
        .collect()
}

fn scalings<'a>(
    before: &'a ScalableAppStatus,
    after: &'a ScalableAppStatus,
) -> impl Iterator<Item = Event> + 'a {
    after.components.iter().filter_map(|component| {
        let known = before.component(&component.name)?;
        let decision = component.last_decision.as_ref()?;
        // After somebody else changed the replicas, the desired ones stay and are written again.
        let is_restored =
            known.desired == component.desired && known.last_decision.as_ref() != Some(decision);
        let from = if known.desired == component.desired { decision.from } else { known.desired };
        (from != component.desired && (is_restored || known.desired != component.desired)).then(|| {
            let warning = decision.stages.iter().any(|stage| stage.name == OTHER_SCALER);
            let reason = if warning { reason::SCALED_BY_OTHER } else { reason::SCALED };
            let note = format!("{}: {from} -> {}: {}", component.name, component.desired, decision.message);
            Event { warning, reason: reason.name, action: "Scale", note }
        })
    })
}

fn transitions<'a>(
    before: &'a ScalableAppStatus,
    after: &'a ScalableAppStatus,
) -> impl Iterator<Item = Event> + 'a {
    after.conditions.iter().filter_map(|condition| {
        let known = before.conditions.iter().find(|known| known.type_ == condition.type_);
        let is_new =
            known.is_none_or(|known| known.status != condition.status || known.reason != condition.reason);
        let warning = is_bad(condition)?;
        (is_new && (warning || known.is_some())).then(|| Event {
            warning,
            reason: listed(&condition.reason),
            action: "Report",
            note: condition.message.clone(),
        })
    })
}

/// The steps and the ends of canaries and of blue-green rollouts.
fn rollouts<'a>(
    before: &'a ScalableAppStatus,
    after: &'a ScalableAppStatus,
) -> impl Iterator<Item = Event> + 'a {
    after.components.iter().filter_map(|component| {
        let said = component.rollout.as_ref()?;
        let known = before.component(&component.name)?.rollout.as_ref()?;
        if !said.active.is_empty() {
            return switch(&component.name, known, said);
        }
        let place = |one: &RolloutStatus| (one.phase, one.canary.clone(), one.step);
        if place(known) == place(said) {
            return None;
        }
        let RolloutStatus { phase, stable, canary, step, steps, weight, message, .. } = said;
        let is_new = |one: &&TakenAct| one.acted && known.acts.iter().all(|known| known.uid != one.uid);
        let asked = said.acts.iter().find(is_new).map(|one| format!(": {}", one.message));
        let asked = asked.unwrap_or_default();
        let (warning, reason, words) = match phase {
            RolloutPhase::Progressing => {
                let place = format!("step {step} of {steps}, with a weight of {weight}%");
                (false, reason::CANARY_STEP, format!("revision {canary} begins {place}{asked}"))
            }
            RolloutPhase::Aborted => {
                (true, reason::CANARY_ABORTED, format!("revision {canary} was aborted. {message}"))
            }
            RolloutPhase::Complete if *stable == known.canary => {
                (false, reason::CANARY_PROMOTED, format!("revision {stable} is the stable one. {message}"))
            }
            RolloutPhase::Complete => return None,
        };
        let note = format!("{}: {}", component.name, words.trim_end());
        Some(Event { warning, reason: reason.name, action: "RollOut", note })
    })
}

/// The step or the end of a blue-green rollout.
fn switch(component: &str, known: &RolloutStatus, said: &RolloutStatus) -> Option<Event> {
    let RolloutStatus { phase, stable, canary, active, step, steps, message, .. } = said;
    let is_new = (known.phase, &known.canary, known.step) != (*phase, canary, *step);
    let (warning, reason, words) = match phase {
        RolloutPhase::Aborted if is_new => {
            (true, reason::BLUE_GREEN_ABORTED, format!("revision {canary} was aborted. {message}"))
        }
        RolloutPhase::Complete if is_new && *stable == known.canary => {
            (false, reason::BLUE_GREEN_PROMOTED, format!("revision {stable} is the stable one. {message}"))
        }
        _ if *active != known.active && !known.active.is_empty() => {
            let words = format!("all requests go to revision {active} instead of {}", known.active);
            (false, reason::BLUE_GREEN_SWITCHED, words)
        }
        RolloutPhase::Progressing if is_new => {
            (false, reason::BLUE_GREEN_STEP, format!("revision {canary} begins step {step} of {steps}"))
        }
        _ => return None,
    };
    let note = format!("{component}: {}", words.trim_end());
    Some(Event { warning, reason: reason.name, action: "RollOut", note })
}

/// A bottleneck that was not said before. That it is gone may mean that a new process knows too little.
fn bottleneck(before: &ScalableAppStatus, after: &ScalableAppStatus) -> Option<Event> {
    let said = after.bottleneck.as_ref()?;
    let is_same =
        |known: &BottleneckStatus| (&known.component, &known.cause) == (&said.component, &said.cause);
    let is_new = !before.bottleneck.as_ref().is_some_and(is_same);
    is_new.then(|| Event {
        warning: true,
        reason: listed(&said.cause),
        action: "Diagnose",
        note: said.message.clone(),
    })
}

/// Whether a condition is bad; `None` for conditions that follow from others.
fn is_bad(condition: &Condition) -> Option<bool> {
    match condition.type_.as_str() {
        condition_type::READY | condition_type::METRICS_AVAILABLE => {
            Some(condition.status == ConditionStatus::False)
        }
        condition_type::DEPENDENCY_DEGRADED => (condition.status != ConditionStatus::Unknown)
            .then_some(condition.status == ConditionStatus::True),
        // Missing replicas, which `Ready` does not report above `minReplicas`. A limit is not bad.
        condition_type::SCALING_LIMITED => {
            let is_problem = reason::PROBLEMS.iter().any(|problem| problem.name == condition.reason);
            (condition.status == ConditionStatus::True && is_problem).then_some(true)
        }
        _ => None,
    }
}

/// The reason from the list, as in conditions.
fn listed(name: &str) -> &'static str {
    reason::all().find(|reason| reason.name == name).map_or("Changed", |reason| reason.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use scalableapp_crds::set_condition;
    use scalableapp_engine::reason::Reason;
    use serde_json::json;

    fn status(ready: ConditionStatus, reason: Reason) -> ScalableAppStatus {
        let mut status = ScalableAppStatus::default();
        let now = Timestamp::UNIX_EPOCH;
        set_condition(&mut status.conditions, "Ready", ready, reason.name, reason.sentence, 1, now);
        status
    }

    #[test]
    fn the_same_status_twice_is_no_event() {
        let up = status(ConditionStatus::True, reason::UP_AS_DECLARED);
        assert_eq!(events(Some(&up), &up), []);
    }

    #[test]
    fn replicas_that_somebody_changed_are_put_right_with_an_event() {
        let status = |desired: i32, from: i32, to: i32| -> ScalableAppStatus {
            let decision = json!({
                "time": "2026-01-01T00:00:00Z", "from": from, "to": to, "reason": "", "message": "why",
                "proposals": [], "stages": [],
            });
            let web = json!({"name": "web", "tier": "service", "desired": desired, "ready": 1, "lastDecision": decision});
            serde_json::from_value(json!({"components": [web]})).expect("a status")
        };
        let notes = |before: &ScalableAppStatus, after: &ScalableAppStatus| -> Vec<String> {
            events(Some(before), after).into_iter().map(|one| one.note).collect()
        };
        let (five, restored, seven) = (status(5, 2, 5), status(5, 3, 5), status(7, 5, 7));
        assert_eq!(notes(&five, &restored), ["web: 3 -> 5: why"]);
        assert_eq!(notes(&five, &seven), ["web: 5 -> 7: why"]);
        assert_eq!(notes(&five, &five), [""; 0]);
        let mut other = status(5, 4, 5);
        let stage = json!({"name": "other scaler", "effect": "field manager kubectl has set 4 replicas"});
        let decision = other.components[0].last_decision.as_mut().expect("a decision");
        decision.stages = vec![serde_json::from_value(stage).expect("a stage")];
        let told = events(Some(&five), &other).remove(0);
        assert_eq!((told.warning, told.reason), (true, "ScaledByOther"));
    }

    #[test]
    fn a_bottleneck_is_told_of_once() {
        let of = |cause: &str| {
            let mut status = status(ConditionStatus::True, reason::UP_AS_DECLARED);
            let bottleneck = json!({"component": "main", "cause": cause, "advice": "Query",
                "since": "2026-01-01T00:00:00Z", "message": "why"});
            status.bottleneck = Some(serde_json::from_value(bottleneck).expect("a bottleneck"));
            status
        };
        let none = status(ConditionStatus::True, reason::UP_AS_DECLARED);
        let told = |before: &ScalableAppStatus, after: &ScalableAppStatus| -> Vec<&str> {
            events(Some(before), after).iter().map(|event| event.reason).collect()
        };
        let (slow, full) = (of("DatabaseSlow"), of("ConnectionsExhausted"));
        assert_eq!(told(&none, &slow), ["DatabaseSlow"]);
        assert_eq!(told(&slow, &full), ["ConnectionsExhausted"]);
        assert_eq!((told(&slow, &slow), told(&slow, &none)), (vec![], vec![]));
    }

    #[test]
    fn bad_news_is_a_warning_and_good_news_is_not() {
        let up = status(ConditionStatus::True, reason::UP_AS_DECLARED);
        let down = status(ConditionStatus::False, reason::PODS_NOT_READY);
        let reasons = |before, after| -> Vec<(bool, &str)> {
            events(Some(before), after).iter().map(|one| (one.warning, one.reason)).collect()
        };
        assert_eq!(reasons(&up, &down), [(true, "PodsNotReady")]);
        assert_eq!(reasons(&down, &up), [(false, "UpAsDeclared")]);
    }
}
