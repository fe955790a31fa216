//! What the overrides of an app say at an instant: which count, and what they add up to. Pure.

use jiff::Timestamp;
use kube::ResourceExt;
use scalableapp_crds::ScalingOverride;
use scalableapp_engine::overrides::Overrides;

/// The override that pauses the app, if one does.
#[must_use]
pub fn pause(overrides: &[ScalingOverride], now: Timestamp) -> Option<&ScalingOverride> {
    in_force(overrides, now).find(|one| one.spec.pause.is_some())
}

/// What those that are in force say of one component: of several the tightest bounds count.
#[must_use]
pub fn of_component(overrides: &[ScalingOverride], component: &str, now: Timestamp) -> Overrides {
    let mut sum = Overrides::default();
    let concerns =
        |one: &&ScalingOverride| one.spec.component.as_deref().is_none_or(|name| name == component);
    for one in in_force(overrides, now).filter(concerns) {
        let name = one.name_any();
        let bounds = one.spec.replicas.clone().unwrap_or_default();
        if one.spec.hold.is_some() {
            sum.hold = Some(name.clone());
        }
        if let Some(min) = bounds.least().filter(|min| sum.min.as_ref().is_none_or(|(known, _)| min > known))
        {
            sum.min = Some((min, name.clone()));
        }
        if let Some(max) = bounds.most().filter(|max| sum.max.as_ref().is_none_or(|(known, _)| max < known)) {
            sum.max = Some((max, name));
        }
    }
    sum
}

fn in_force(overrides: &[ScalingOverride], now: Timestamp) -> impl Iterator<Item = &ScalingOverride> {
    overrides
        .iter()
        .filter(move |one| now < one.spec.expires_at.0 && one.metadata.deletion_timestamp.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn overrides(acts: &[Value]) -> Vec<ScalingOverride> {
        let one = |(index, act): (usize, &Value)| {
            let mut spec =
                json!({"app": "shop", "expiresAt": "2026-01-01T01:00:00Z", "by": "jane", "reason": "a test"});
            spec.as_object_mut().unwrap().extend(act.as_object().unwrap().clone());
            let object = json!({"metadata": {"name": format!("act-{index}")}, "spec": spec});
            serde_json::from_value(object).unwrap()
        };
        acts.iter().enumerate().map(one).collect()
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-01-01T{time}Z").parse().unwrap()
    }

    #[test]
    fn of_several_overrides_the_tightest_bounds_count() {
        let acts = [
            json!({"replicas": {"min": 2, "max": 9}}),
            json!({"replicas": {"exact": 5}, "component": "web"}),
            json!({"replicas": {"min": 3}}),
        ];
        let overrides = overrides(&acts);
        let web = of_component(&overrides, "web", at("00:00:00"));
        assert_eq!((web.min, web.max), (Some((5, "act-1".into())), Some((5, "act-1".into()))));
        let api = of_component(&overrides, "api", at("00:00:00"));
        assert_eq!((api.min, api.max), (Some((3, "act-2".into())), Some((9, "act-0".into()))));
    }

    #[test]
    fn an_override_ends_at_its_time() {
        let overrides = overrides(&[json!({"hold": {}}), json!({"pause": {}})]);
        let says = |now| (of_component(&overrides, "web", now).hold, pause(&overrides, now).is_some());
        assert_eq!(says(at("00:59:59.999")), (Some("act-0".into()), true));
        assert_eq!(says(at("01:00:00")), (None, false));
    }
}
