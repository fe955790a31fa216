//! What the statuses say of canaries, for metrics. Pure.

use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::{
    GoDuration, Rollout, RolloutPhase, RolloutStatus, ScalableAppSpec, ScalableAppStatus,
};
use std::time::Duration;

/// Time after the switch of a blue-green rollout for which the stable revision stays, where none is set.
const BLUE_GREEN_HOLD: Duration = Duration::from_secs(300);

/// The end of a rollout in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolloutEnd {
    /// Whether it is the stable revision now; otherwise it was aborted.
    pub promoted: bool,
    /// Whether a person decided it, and not the evidence.
    pub by_person: bool,
}

/// The canaries that ended between two statuses. The same status twice has none.
pub fn ends<'a>(
    before: Option<&'a ScalableAppStatus>,
    after: &'a ScalableAppStatus,
) -> impl Iterator<Item = RolloutEnd> + 'a {
    after.components.iter().filter_map(move |component| {
        let said = component.rollout.as_ref()?;
        let known = before?.component(&component.name)?.rollout.as_ref()?;
        let promoted = match said.phase {
            RolloutPhase::Complete if known.canary.is_empty() || known.canary != said.stable => return None,
            RolloutPhase::Complete => true,
            RolloutPhase::Aborted if known.phase == RolloutPhase::Aborted && known.canary == said.canary => {
                return None;
            }
            RolloutPhase::Aborted => false,
            RolloutPhase::Progressing => return None,
        };
        let is_new = |uid: &str| known.acts.iter().all(|known| known.uid != uid);
        let by_person = said.acts.iter().any(|one| one.acted && is_new(&one.uid));
        Some(RolloutEnd { promoted, by_person })
    })
}

/// Seconds since the least time of a rollout's step was over, 0 until then; `None` without one in progress. While the
/// pods of the step are not available they count from the begin of the rollout on.
#[must_use]
pub fn overdue(
    spec: &ScalableAppSpec,
    component: &str,
    rollout: &RolloutStatus,
    now: Timestamp,
) -> Option<f64> {
    if rollout.phase != RolloutPhase::Progressing {
        return None;
    }
    let service = spec.services.iter().find(|service| service.name == component)?;
    let hold = match service.rollout.as_ref()? {
        Rollout { canary: Some(canary), .. } => {
            let step = usize::try_from(rollout.step - 1).ok().and_then(|index| canary.steps.get(index));
            step.and_then(|step| step.hold.as_ref()).map(GoDuration::parse)
        }
        Rollout { blue_green: Some(blue_green), .. } => {
            let is_last = rollout.step == rollout.steps;
            let hold = blue_green.hold.as_ref().filter(|_| is_last).map(GoDuration::parse);
            hold.or(is_last.then_some(Ok(BLUE_GREEN_HOLD)))
        }
        _ => return None,
    };
    let hold = hold.and_then(Result::ok).and_then(|hold| SignedDuration::try_from(hold).ok());
    let due = match (&rollout.step_begun, &rollout.begun) {
        (Some(begun), _) => begun.0.checked_add(hold.unwrap_or_default()).ok()?,
        (None, Some(begun)) => begun.0,
        (None, None) => return None,
    };
    Some(now.duration_since(due).as_secs_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rollout(fields: &Value) -> Value {
        let mut rollout = json!({"phase": "Progressing", "stable": "a", "canary": "b", "step": 1, "steps": 2,
            "weight": 25, "begun": "2026-01-01T00:00:00Z"});
        rollout.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
        rollout
    }

    fn status(fields: &Value) -> ScalableAppStatus {
        let web =
            json!({"name": "web", "tier": "service", "desired": 2, "ready": 2, "rollout": rollout(fields)});
        serde_json::from_value(json!({"components": [web]})).expect("a status")
    }

    #[test]
    fn the_end_of_a_canary_is_counted_once_with_who_decided_it() {
        let acts = json!([{"uid": "u", "acted": true, "message": "jane did it"}]);
        let running = status(&json!({}));
        let ended = |fields: &Value| ends(Some(&running), &status(fields)).collect::<Vec<_>>();
        let end = |promoted, by_person| vec![RolloutEnd { promoted, by_person }];
        let promoted = json!({"phase": "Complete", "stable": "b", "canary": ""});
        assert_eq!(ended(&promoted), end(true, false));
        assert_eq!(ended(&json!({"phase": "Aborted"})), end(false, false));
        assert_eq!(ended(&json!({"phase": "Aborted", "acts": acts})), end(false, true));
        assert_eq!(ended(&json!({"step": 2})), []);
        assert_eq!(ended(&json!({"phase": "Complete", "canary": ""})), [], "the edit was taken back");
        let aborted = status(&json!({"phase": "Aborted"}));
        assert_eq!(ends(Some(&aborted), &aborted).count() + ends(None, &aborted).count(), 0);
        let complete = status(&promoted);
        assert_eq!(ends(Some(&complete), &complete).count(), 0);
    }

    #[test]
    fn a_step_is_overdue_after_its_hold_or_while_its_pods_are_missing() {
        let canary = json!({"steps": [{"weight": 25, "hold": "10m"}, {"weight": 50}]});
        let spec = json!({"image": "shop:1", "services": [
            {"name": "web", "port": 80, "metricsPort": 81, "rollout": {"canary": canary}},
        ]});
        let spec: ScalableAppSpec = serde_json::from_value(spec).expect("a spec");
        let now = "2026-01-01T01:00:00Z".parse().expect("a time");
        let overdue = |fields: &Value| {
            let rollout = serde_json::from_value(rollout(fields)).expect("a rollout");
            super::overdue(&spec, "web", &rollout, now)
        };
        assert_eq!(overdue(&json!({})), Some(3600.0), "no pod came");
        assert_eq!(overdue(&json!({"stepBegun": "2026-01-01T00:40:00Z"})), Some(600.0));
        assert_eq!(overdue(&json!({"stepBegun": "2026-01-01T00:55:00Z"})), Some(0.0), "its least time runs");
        assert_eq!(overdue(&json!({"step": 2, "stepBegun": "2026-01-01T00:55:00Z"})), Some(300.0));
        assert_eq!(overdue(&json!({"phase": "Aborted"})), None);
    }

    #[test]
    fn a_blue_green_rollout_is_overdue_before_its_switch_and_after_its_hold() {
        let spec = |blue_green: &Value| -> ScalableAppSpec {
            let services = json!([{"name": "web", "port": 80, "rollout": {"blueGreen": blue_green}}]);
            serde_json::from_value(json!({"image": "shop:1", "services": services})).expect("a spec")
        };
        let now = "2026-01-01T01:00:00Z".parse().expect("a time");
        let overdue = |spec: &ScalableAppSpec, step: i32| {
            let fields = json!({"step": step, "steps": 3, "stepBegun": "2026-01-01T00:50:00Z"});
            super::overdue(spec, "web", &serde_json::from_value(rollout(&fields)).expect("a rollout"), now)
        };
        assert_eq!(overdue(&spec(&json!({"approval": true})), 1), Some(600.0), "nobody approved of it");
        assert_eq!(overdue(&spec(&json!({})), 3), Some(300.0), "the default hold");
        assert_eq!(overdue(&spec(&json!({"hold": "30m"})), 3), Some(0.0));
    }
}
