//! The condition of an override: whether it is in force, or why not. Pure.

use crate::resolve::overrides::InForce;
use jiff::Timestamp;
use kube::ResourceExt;
use scalableapp_crds::{
    Condition, ConditionStatus, ScalableApp, ScalingOverride, ScalingOverrideSpec, ScalingOverrideStatus,
    Service, TakenAct, Unreadable, condition_type::IN_FORCE, limits, set_condition,
};
use scalableapp_engine::{
    bounds::overrides::Effect,
    hpa::range::Range,
    reason::{self, Reason},
};
use std::collections::{BTreeMap, BTreeSet};

/// The overrides of one app that are in force now.
#[derive(Clone, Debug, Default)]
pub struct Counting {
    /// The one that pauses the app.
    pause: Option<String>,
    /// Those that set a bound or hold a component, by the component.
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Counting {
    /// Selects them among the overrides of an app, which are given in the order of their names.
    pub fn of<'a>(
        app: &ScalableApp,
        overrides: impl Iterator<Item = &'a ScalingOverride>,
        now: Timestamp,
    ) -> Self {
        let components = || app.spec.replica_bounds().map(|(name, _)| name);
        let is_known = |name: &str| components().any(|component| component == name);
        let in_force = InForce::of(overrides, is_known, now);
        let names = |(name, (min, _)): (&str, (i32, i32))| (name.to_owned(), in_force.names(name, min));
        let names = app.spec.replica_bounds().map(names).collect();
        Self { pause: in_force.pause.map(ResourceExt::name_any), names }
    }

    /// Why an override that has not expired is not in force, if another one supersedes it.
    fn instead_of(&self, one: &ScalingOverride) -> Option<String> {
        let name = one.name_any();
        let concerns = |component: &String| one.spec.component.as_ref().is_none_or(|own| own == component);
        let names: BTreeSet<&String> = self
            .names
            .iter()
            .filter(|(component, _)| concerns(component))
            .flat_map(|(_, names)| names)
            .collect();
        match &self.pause {
            Some(pause) if *pause == name => None,
            Some(pause) => Some(format!("override {pause} pauses the app")),
            None if names.contains(&name) => None,
            None => {
                let names = names.into_iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
                Some(format!("other overrides are as tight or tighter: {names}"))
            }
        }
    }
}

/// The app of an override.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// There is none of that name.
    Missing,
    /// There is one that this version cannot read; its own condition reports that.
    Unreadable,
    /// This app.
    App(&'a ScalableApp),
}

/// The status of an override. An unchanged condition keeps its time, so an unchanged status is equal to the known one.
#[must_use]
pub fn status(
    known: Option<&ScalingOverrideStatus>,
    one: &ScalingOverride,
    target: Target<'_>,
    counting: &Counting,
    now: Timestamp,
) -> ScalingOverrideStatus {
    let mut status = known.cloned().unwrap_or_default();
    let generation = one.metadata.generation.unwrap_or_default();
    let said = status.conditions.iter().find(|condition| condition.type_ == IN_FORCE);
    let (holds, reason, message) = verdict(said, one, target, counting, now);
    status.observed_generation = generation;
    set_condition(&mut status.conditions, IN_FORCE, holds, reason.name, &message, generation, now);
    status
}

/// The status of an unreadable override.
#[must_use]
pub fn unreadable(
    known: Option<&ScalingOverrideStatus>,
    one: &Unreadable,
    now: Timestamp,
) -> ScalingOverrideStatus {
    let mut status = known.cloned().unwrap_or_default();
    let generation = one.metadata.generation.unwrap_or_default();
    let message = format!("has no effect, because it cannot be read: {one}");
    status.observed_generation = generation;
    let no = ConditionStatus::False;
    set_condition(&mut status.conditions, IN_FORCE, no, reason::UNREADABLE.name, &message, generation, now);
    status
}

/// Why an override that has expired is not in force, with what it changed if it acted once.
fn expired(said: Option<&Condition>, end: Timestamp) -> String {
    let ended = format!("ended at {end}; ");
    match said {
        Some(said) if [reason::ACTED.name, reason::WITHOUT_CANARY.name].contains(&said.reason.as_str()) => {
            ended + &said.message
        }
        Some(said) if said.reason == reason::EXPIRED.name && said.message.starts_with(&ended) => {
            said.message.clone()
        }
        _ => ended + "it is kept to show what was done, delete it at any time",
    }
}

fn verdict(
    said: Option<&Condition>,
    one: &ScalingOverride,
    target: Target<'_>,
    counting: &Counting,
    now: Timestamp,
) -> (ConditionStatus, Reason, String) {
    let ScalingOverrideSpec { app, component, expires_at, .. } = &one.spec;
    let end = expires_at.0;
    let no = |reason, message| (ConditionStatus::False, reason, message);
    if now >= end {
        return no(reason::EXPIRED, expired(said, end));
    }
    let components = match target {
        Target::Missing => {
            let namespace = one.namespace().unwrap_or_default();
            let missing = format!("namespace {namespace} has no ScalableApp {app}: correct spec.app");
            return no(reason::APP_NOT_FOUND, missing);
        }
        Target::Unreadable => Vec::new(),
        Target::App(app) => app.spec.replica_bounds().map(|(name, _)| name).collect(),
    };
    match component {
        Some(name) if !components.is_empty() && !components.contains(&name.as_str()) => {
            let existing = components.join(", ");
            let missing = format!(
                "{app} has no component {name}, its components are {existing}: correct spec.component"
            );
            no(reason::COMPONENT_NOT_FOUND, missing)
        }
        Some(name) => acts(one, target, counting, format!("acts upon {name} of {app} until {end}")),
        None => acts(one, target, counting, format!("acts upon {app} until {end}")),
    }
}

/// Whether bounds have an effect within those of their components.
fn acts(
    one: &ScalingOverride,
    target: Target<'_>,
    counting: &Counting,
    words: String,
) -> (ConditionStatus, Reason, String) {
    let ScalingOverrideSpec { component, replicas, expires_at, .. } = &one.spec;
    let Target::App(app) = target else { return (ConditionStatus::True, reason::IN_FORCE, words) };
    if one.spec.is_of_rollouts() {
        return of_rollouts(one, app, counting, words);
    }
    let superseded = counting.instead_of(one).map(|why| {
        let message = format!("{why}; this one counts once that is over, until {}", expires_at.0);
        (ConditionStatus::False, reason::SUPERSEDED, message)
    });
    let Some(bounds) = replicas else {
        return superseded.unwrap_or((ConditionStatus::True, reason::IN_FORCE, words));
    };
    let concerns = |name: &str| component.as_ref().is_none_or(|own| own == name);
    let (effects, remarks): (Vec<Effect>, Vec<Option<String>>) = app
        .spec
        .replica_bounds()
        .filter(|(name, _)| concerns(name))
        .map(|(name, (min, max))| {
            let effect = Effect::of(bounds.least(), bounds.most(), Range { min, max });
            (effect, effect.remark(name, Range { min, max }))
        })
        .unzip();
    let remarks = remarks.into_iter().flatten().collect::<Vec<_>>().join("; ");
    if effects.iter().all(|effect| matches!(effect, Effect::Nothing | Effect::NotZero)) {
        return (ConditionStatus::False, reason::WITHOUT_EFFECT, format!("{remarks}: correct spec.replicas"));
    }
    if let Some(superseded) = superseded {
        return superseded;
    }
    let is_clamped = effects.contains(&Effect::Clamped);
    let reason = if is_clamped { reason::CLAMPED } else { reason::IN_FORCE };
    let words = if remarks.is_empty() { words } else { format!("{words}; {remarks}") };
    (ConditionStatus::True, reason, words)
}

/// What becomes of an override on rollouts.
fn of_rollouts(
    one: &ScalingOverride,
    app: &ScalableApp,
    counting: &Counting,
    words: String,
) -> (ConditionStatus, Reason, String) {
    let ScalingOverrideSpec { component, expires_at, .. } = &one.spec;
    let concerns = |service: &&Service| component.as_ref().is_none_or(|own| *own == service.name);
    if !app.spec.services.iter().filter(concerns).any(Service::rolls_out_in_steps) {
        let missing = component.as_ref().map_or_else(
            || "no service declares rollout.canary or blueGreen".to_owned(),
            |name| format!("{name} declares no rollout.canary or blueGreen"),
        );
        let missing = format!("{missing}, so there is no rollout to act upon");
        return (ConditionStatus::False, reason::WITHOUT_CANARY, missing);
    }
    let status = app.status.as_ref();
    let rollout = component.as_ref().and_then(|name| status?.component(name)?.rollout.as_ref());
    let acts = rollout.map_or(&[][..], |rollout| &rollout.acts);
    let taken = one.uid().and_then(|uid| acts.iter().find(|taken| taken.uid == uid));
    if let Some(TakenAct { acted, message, .. }) = taken {
        return if *acted {
            (ConditionStatus::True, reason::ACTED, message.clone())
        } else {
            (ConditionStatus::False, reason::WITHOUT_CANARY, message.clone())
        };
    }
    let waits = if let Some(pause) = &counting.pause {
        Some(format!("override {pause} pauses the app"))
    } else if one.spec.acts_once() && acts.len() >= limits::ROLLOUT_ACTS {
        Some(format!("{} earlier acts on the rollout have not ended", acts.len()))
    } else {
        None
    };
    match waits {
        Some(why) => {
            let message = format!("{why}; this one counts once that is over, until {}", expires_at.0);
            (ConditionStatus::False, reason::SUPERSEDED, message)
        }
        None => (ConditionStatus::True, reason::IN_FORCE, words),
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

    fn counting(target: Target<'_>, all: &[&ScalingOverride], now: Timestamp) -> Counting {
        let Target::App(app) = target else { return Counting::default() };
        Counting::of(app, all.iter().copied(), now)
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-01-01T{time}Z").parse().unwrap()
    }

    fn said(component: &Value, target: Target<'_>, time: &str) -> (String, String) {
        let one = hold(component);
        let counting = counting(target, &[&one], at(time));
        let condition = status(None, &one, target, &counting, at(time)).conditions.remove(0);
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

    /// Whether the only override of an app acts, with reason and message.
    fn bounded(app: &ScalableApp, component: &Value, replicas: Value) -> (bool, String, String) {
        let mut one = hold(component);
        one.spec.hold = None;
        one.spec.replicas = Some(serde_json::from_value(replicas).unwrap());
        let (target, now) = (Target::App(app), at("00:00:00"));
        let counting = counting(target, &[&one], now);
        let condition = status(None, &one, target, &counting, now).conditions.remove(0);
        (condition.status == ConditionStatus::True, condition.reason, condition.message)
    }

    #[test]
    fn bounds_that_are_clamped_or_without_effect_say_so_at_once() {
        let mut app = app();
        app.spec.services[1].scaling.as_mut().unwrap().max_replicas = 4;
        let clamped = |component: &str, max| {
            format!("{component} runs at most {max} by its maxReplicas, raise that for more")
        };
        let unchanged = |component: &str, max| {
            format!("nothing changes for {component}, whose minReplicas is 1 and maxReplicas {max}")
        };
        let until = "until 2026-01-01T01:00:00Z";
        for (component, replicas, expected) in [
            (json!("web"), json!({"exact": 2}), (true, "InForce", format!("acts upon web of shop {until}"))),
            (
                json!("web"),
                json!({"exact": 50}),
                (true, "Clamped", format!("acts upon web of shop {until}; {}", clamped("web", 2))),
            ),
            (
                json!("web"),
                json!({"max": 9}),
                (false, "WithoutEffect", format!("{}: correct spec.replicas", unchanged("web", 2))),
            ),
            (
                json!(null),
                json!({"max": 3}),
                (true, "InForce", format!("acts upon shop {until}; {}", unchanged("web", 2))),
            ),
            (
                json!(null),
                json!({"max": 9}),
                (
                    false,
                    "WithoutEffect",
                    format!("{}; {}: correct spec.replicas", unchanged("web", 2), unchanged("api", 4)),
                ),
            ),
        ] {
            let (acts, reason, message) = expected;
            assert_eq!(bounded(&app, &component, replicas), (acts, reason.to_owned(), message));
        }
    }

    #[test]
    fn no_replica_acts_on_components_that_may_have_none_and_the_others_are_named() {
        let mut app = app();
        let mail = json!({"name": "mail", "scaling": {"minReplicas": 0, "maxReplicas": 3}});
        app.spec.workers.push(serde_json::from_value(mail).unwrap());
        let until = "until 2026-01-01T01:00:00Z";
        let kept = |component: &str| {
            format!("{component} keeps running, because its minReplicas is 1: 0 is for a minReplicas of 0")
        };
        let (web, mail, all) = (json!("web"), json!("mail"), json!(null));
        let refused = (false, "WithoutEffect".to_owned(), format!("{}: correct spec.replicas", kept("web")));
        assert_eq!(bounded(&app, &web, json!({"exact": 0})), refused);
        let acts = (true, "InForce".to_owned(), format!("acts upon mail of shop {until}"));
        assert_eq!(bounded(&app, &mail, json!({"exact": 0})), acts);
        let said = format!("acts upon shop {until}; {}; {}", kept("web"), kept("api"));
        assert_eq!(bounded(&app, &all, json!({"max": 0})), (true, "InForce".to_owned(), said));
    }

    /// The app, of which `web` has a canary, with this status of its rollout.
    fn with_canary(rollout: &Value) -> ScalableApp {
        let spec = json!({"image": "shop:1", "services": [
            {"name": "web", "port": 80, "metricsPort": 81, "rollout": {"canary": {"steps": [{"weight": 5}]}}},
            {"name": "api", "port": 80},
        ]});
        let mut whole = json!({"canary": "b", "step": 1, "steps": 3, "weight": 5});
        whole.as_object_mut().unwrap().extend(rollout.as_object().unwrap().clone());
        let web = json!({"name": "web", "tier": "service", "desired": 2, "ready": 2, "rollout": whole});
        let status = json!({"components": [web]});
        serde_json::from_value(json!({"metadata": {"name": "shop"}, "spec": spec, "status": status})).unwrap()
    }

    /// What is said of this act on a component, and of the same once it has ended.
    fn act_said(app: &ScalableApp, component: &Value, act: &Value) -> [(bool, String, String); 2] {
        let mut one = hold(component);
        one.metadata.uid = Some("uid".to_owned());
        let mut spec = serde_json::to_value(&one.spec).unwrap();
        spec.as_object_mut().unwrap().remove("hold");
        spec.as_object_mut().unwrap().extend(act.as_object().unwrap().clone());
        one.spec = serde_json::from_value(spec).unwrap();
        let mut known = None;
        let [first, ended, later] = ["00:00:00", "01:00:00", "01:00:05"].map(|time| {
            let (target, now) = (Target::App(app), at(time));
            let counting = counting(target, &[&one], now);
            let said = status(known.as_ref(), &one, target, &counting, now);
            known = Some(said.clone());
            said
        });
        assert_eq!(ended, later, "an unchanged status is equal to the known one");
        [first, ended].map(|mut said| {
            let said = said.conditions.remove(0);
            (said.status == ConditionStatus::True, said.reason, said.message)
        })
    }

    #[test]
    fn an_act_on_a_rollout_says_what_became_of_it_even_after_its_end() {
        let rollout = |acts: Value| json!({"phase": "Progressing", "stable": "a", "acts": acts});
        let (web, promote) = (json!("web"), json!({"promote": {}}));
        let until = "2026-01-01T01:00:00Z";
        let waiting = with_canary(&rollout(json!([])));
        let [now, then] = act_said(&waiting, &web, &promote);
        assert_eq!(now, (true, "InForce".to_owned(), format!("acts upon web of shop until {until}")));
        assert!(then.2.ends_with("delete it at any time"), "{}", then.2);
        for (acted, reason, message) in [
            (true, "Acted", "jane promoted revision b from step 1 of 3 to step 2"),
            (false, "WithoutCanary", "no rollout was in progress"),
        ] {
            let taken = json!([{"uid": "uid", "acted": acted, "message": message}]);
            let [now, then] = act_said(&with_canary(&rollout(taken)), &web, &promote);
            assert_eq!(now, (acted, reason.to_owned(), message.to_owned()));
            assert_eq!(then, (false, "Expired".to_owned(), format!("ended at {until}; {message}")));
        }
    }

    #[test]
    fn an_act_on_a_component_without_a_canary_is_refused_in_words() {
        let app = with_canary(&json!({"phase": "Complete", "stable": "a"}));
        for act in
            [json!({"promote": {}}), json!({"abort": {}}), json!({"retry": {}}), json!({"holdRollout": {}})]
        {
            let [now, _] = act_said(&app, &json!("api"), &act);
            let words = "api declares no rollout.canary or blueGreen, so there is no rollout to act upon";
            assert_eq!(now, (false, "WithoutCanary".to_owned(), words.to_owned()));
        }
        let hold = json!({"holdRollout": {}});
        let [now, _] = act_said(&app, &json!(null), &hold);
        assert_eq!(now.1, "InForce");
        let [now, _] = act_said(&self::app(), &json!(null), &hold);
        assert_eq!(
            now.2,
            "no service declares rollout.canary or blueGreen, so there is no rollout to act upon"
        );
    }

    #[test]
    fn an_act_waits_while_the_list_of_those_in_force_is_full() {
        let taken: Vec<Value> = (0..8)
            .map(|index| json!({"uid": format!("{index}"), "acted": true, "message": "jane promoted it"}))
            .collect();
        let app = with_canary(&json!({"phase": "Progressing", "stable": "a", "acts": taken}));
        let [now, _] = act_said(&app, &json!("web"), &json!({"promote": {}}));
        let words = "8 earlier acts on the rollout have not ended; this one counts once that is over, until 2026-01-01T01:00:00Z";
        assert_eq!(now, (false, "Superseded".to_owned(), words.to_owned()));
    }

    #[test]
    fn an_override_that_another_one_beats_says_so() {
        let app = app();
        let act = |name: &str, act: Value| {
            let mut one = hold(&json!("web"));
            (one.metadata.name, one.spec.hold) = (Some(name.to_owned()), None);
            let mut spec = serde_json::to_value(&one.spec).unwrap();
            spec.as_object_mut().unwrap().extend(act.as_object().unwrap().clone());
            one.spec = serde_json::from_value(spec).unwrap();
            one
        };
        let now = at("00:00:00");
        let said = |all: &[&ScalingOverride]| -> Vec<(String, String)> {
            let target = Target::App(&app);
            let counting = counting(target, all, now);
            let said = all.iter().map(|one| status(None, one, target, &counting, now).conditions.remove(0));
            said.map(|condition| (condition.reason, condition.message)).collect()
        };
        let (one, two) = (act("a", json!({"hold": {}})), act("b", json!({"hold": {}})));
        let end = "this one counts once that is over, until 2026-01-01T01:00:00Z";
        let beaten = |why: &str| ("Superseded".to_owned(), format!("{why}; {end}"));
        let is_in_force = |(reason, _): &(String, String)| reason == "InForce";
        let both = said(&[&one, &two]);
        assert!(is_in_force(&both[0]));
        assert_eq!(both[1], beaten("other overrides are as tight or tighter: a"));
        let (low, high) =
            (act("low", json!({"replicas": {"max": 1}})), act("one", json!({"replicas": {"exact": 2}})));
        assert!(said(&[&low, &high]).iter().all(is_in_force), "one is the minimum, the other the maximum");
        let pause = act("pause", json!({"pause": {}}));
        let paused = said(&[&low, &pause]);
        assert_eq!(paused[0], beaten("override pause pauses the app"));
        assert!(is_in_force(&paused[1]));
    }

    #[test]
    fn saying_it_again_changes_nothing() {
        let app = app();
        let (one, target) = (hold(&json!(null)), Target::App(&app));
        let said = |known, now| status(known, &one, target, &counting(target, &[&one], now), now);
        let first = said(None, at("00:00:00"));
        let second = said(Some(&first), at("00:30:00"));
        assert_eq!((first.observed_generation, &first), (2, &second));
    }
}
