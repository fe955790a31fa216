//! What is said of an override: whether it acts, or why not. Pure.

use jiff::Timestamp;
use kube::ResourceExt;
use scalableapp_crds::{
    ConditionStatus, ScalableApp, ScalingOverride, ScalingOverrideSpec, ScalingOverrideStatus,
    condition_type::IN_FORCE, set_condition,
};
use scalableapp_engine::reason::{self, Reason};

/// The app that an override names.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// There is none of that name.
    Missing,
    /// There is one that this version cannot read; its condition says so.
    Unreadable,
    /// This one.
    App(&'a ScalableApp),
}

/// The status of an override. What is said already keeps its time, so that saying it again changes nothing.
#[must_use]
pub fn status(
    known: Option<&ScalingOverrideStatus>,
    one: &ScalingOverride,
    target: Target<'_>,
    now: Timestamp,
) -> ScalingOverrideStatus {
    let mut status = known.cloned().unwrap_or_default();
    let generation = one.metadata.generation.unwrap_or_default();
    let (holds, reason, message) = verdict(one, target, now);
    status.observed_generation = generation;
    set_condition(&mut status.conditions, IN_FORCE, holds, reason.name, &message, generation, now);
    status
}

fn verdict(one: &ScalingOverride, target: Target<'_>, now: Timestamp) -> (ConditionStatus, Reason, String) {
    let ScalingOverrideSpec { app, component, expires_at, .. } = &one.spec;
    let end = expires_at.0;
    let no = |reason, message| (ConditionStatus::False, reason, message);
    if now >= end {
        let ended = format!("ended at {end}; it is kept to show what was done, delete it at any time");
        return no(reason::EXPIRED, ended);
    }
    let components = match target {
        Target::Missing => {
            let namespace = one.namespace().unwrap_or_default();
            let missing = format!("namespace {namespace} has no ScalableApp {app}: correct spec.app");
            return no(reason::APP_NOT_FOUND, missing);
        }
        Target::Unreadable => Vec::new(),
        Target::App(app) => app.spec.services.iter().map(|service| service.name.as_str()).collect(),
    };
    match component {
        Some(name) if !components.is_empty() && !components.contains(&name.as_str()) => {
            let existing = components.join(", ");
            let missing = format!(
                "{app} has no component {name}, its components are {existing}: correct spec.component"
            );
            no(reason::COMPONENT_NOT_FOUND, missing)
        }
        Some(name) => {
            (ConditionStatus::True, reason::IN_FORCE, format!("acts upon {name} of {app} until {end}"))
        }
        None => (ConditionStatus::True, reason::IN_FORCE, format!("acts upon {app} until {end}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn app() -> ScalableApp {
        let spec = json!({"image": "shop:1", "services": [
            {"name": "web", "port": 80, "scaling": {"minReplicas": 1, "maxReplicas": 2}},
            {"name": "api", "port": 80, "scaling": {"minReplicas": 1, "maxReplicas": 2}},
        ]});
        serde_json::from_value(json!({"metadata": {"name": "shop"}, "spec": spec})).unwrap()
    }

    fn hold(component: &Value) -> ScalingOverride {
        let object = json!({
            "metadata": {"name": "act", "namespace": "store", "generation": 2},
            "spec": {"app": "shop", "component": component, "hold": {}, "by": "jane", "reason": "a test",
                "expiresAt": "2026-01-01T01:00:00Z"},
        });
        serde_json::from_value(object).unwrap()
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-01-01T{time}Z").parse().unwrap()
    }

    fn said(component: &Value, target: Target<'_>, time: &str) -> (String, String) {
        let condition = status(None, &hold(component), target, at(time)).conditions.remove(0);
        assert_eq!(condition.status == ConditionStatus::True, condition.reason == "InForce");
        (condition.reason, condition.message)
    }

    #[test]
    fn an_override_says_whether_it_acts_and_if_not_what_to_change() {
        let app = app();
        let shop = Target::App(&app);
        for (component, target, time, reason, message) in [
            (json!(null), shop, "00:59:59", "InForce", "acts upon shop until 2026-01-01T01:00:00Z"),
            (json!("api"), shop, "00:00:00", "InForce", "acts upon api of shop until 2026-01-01T01:00:00Z"),
            (
                json!("api"),
                Target::Unreadable,
                "00:00:00",
                "InForce",
                "acts upon api of shop until 2026-01-01T01:00:00Z",
            ),
            (
                json!(null),
                Target::Missing,
                "00:00:00",
                "AppNotFound",
                "namespace store has no ScalableApp shop: correct spec.app",
            ),
            (
                json!("wbe"),
                shop,
                "00:00:00",
                "ComponentNotFound",
                "shop has no component wbe, its components are web, api: correct spec.component",
            ),
            (
                json!("wbe"),
                shop,
                "01:00:00",
                "Expired",
                "ended at 2026-01-01T01:00:00Z; it is kept to show what was done, delete it at any time",
            ),
        ] {
            assert_eq!(said(&component, target, time), (reason.to_owned(), message.to_owned()));
        }
    }

    #[test]
    fn saying_it_again_changes_nothing() {
        let app = app();
        let first = status(None, &hold(&json!(null)), Target::App(&app), at("00:00:00"));
        let second = status(Some(&first), &hold(&json!(null)), Target::App(&app), at("00:30:00"));
        assert_eq!((first.observed_generation, &first), (2, &second));
    }
}
