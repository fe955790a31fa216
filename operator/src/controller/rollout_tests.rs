//! An act on a canary, from its override to its condition, and the numbers of a canary.

use super::live::live_component;
use crate::{
    decide::{self, DecideMemory, View},
    kinds::Kind,
    observe::{cluster::caches::Observed, prometheus::canary::trial_judge::JudgedStep, snapshot::Samples},
    report::{
        StatusUpdate,
        events::events,
        overrides::{self, Counting, Target},
    },
    resolve::{app::App, resolve},
};
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::{LiveRollout, ScalableApp, ScalableAppStatus, ScalingOverride};
use scalableapp_engine::rollout::judge::{
    counts::BadKind,
    verdict::{BadOf, Because, CanaryVerdict, Judgement, KindEvidence},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const STABLE: &str = "aaaaaaaaaa";

/// A service of six replicas, whose canary is at its first step.
struct World {
    object: ScalableApp,
    app: App,
    now: Timestamp,
    memory: DecideMemory,
    overrides: Vec<ScalingOverride>,
    /// What the judge says.
    judged: Option<JudgedStep>,
    events: Vec<String>,
}

impl World {
    fn new() -> Self {
        let steps = json!([{"weight": 25}, {"weight": 50}]);
        let spec = json!({"services": [{
            "name": "web", "image": "shop:2", "port": 8080, "metricsPort": 9090,
            "scaling": {"minReplicas": 6, "maxReplicas": 6}, "rollout": {"canary": {"steps": steps}},
        }]});
        let metadata = json!({"name": "shop", "namespace": "shop", "uid": "1", "generation": 1});
        let object = json!({"metadata": metadata, "spec": spec});
        let mut object: ScalableApp = serde_json::from_value(object).expect("an app");
        let app = resolve(&object).expect("no problem");
        let rollout = json!({"phase": "Progressing", "stable": STABLE, "canary": app.components[0].revision.to_string(),
            "step": 1, "steps": 2, "weight": 25, "begun": "1970-01-01T07:00:00Z", "stepBegun": "1970-01-01T07:01:00Z"});
        let web = json!({"name": "web", "tier": "service", "desired": 6, "ready": 8, "rollout": rollout});
        object.status = Some(serde_json::from_value(json!({"components": [web]})).expect("a status"));
        Self {
            object,
            app,
            now: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(8),
            memory: DecideMemory::default(),
            overrides: Vec::new(),
            judged: None,
            events: Vec::new(),
        }
    }

    fn ask(&mut self, name: &str, act: &Value) {
        let mut spec = json!({"app": "shop", "component": "web", "expiresAt": "1970-01-01T09:00:00Z", "by": "jane",
            "reason": "known"});
        spec.as_object_mut().expect("fields").extend(act.as_object().expect("fields").clone());
        let metadata = json!({"name": name, "namespace": "shop", "uid": name});
        let object = json!({"metadata": metadata, "spec": spec});
        self.overrides.push(serde_json::from_value(object).expect("an override"));
    }

    fn observed(&self) -> Observed {
        let deployment = |(revision, replicas): (&str, i32)| {
            let one = serde_json::from_value(json!({
                "metadata": {"name": format!("shop-web-{revision}"), "labels": {
                    "scalableapp.dev/app": "shop", "scalableapp.dev/component": "web",
                    "scalableapp.dev/revision": revision,
                }, "ownerReferences": [{
                    "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": "shop", "uid": "1",
                    "controller": true,
                }]},
                "spec": {"replicas": replicas},
                "status": {"replicas": replicas, "readyReplicas": replicas},
            }));
            Arc::new(one.expect("a Deployment"))
        };
        let canary = self.app.components[0].revision.to_string();
        let deployments = Arc::new([(STABLE, 6), (canary.as_str(), 2)].map(deployment).to_vec());
        let guarded = |one: &ScalingOverride| {
            let object = serde_json::to_value(one).expect("an object");
            Arc::new(serde_json::from_value(object).expect("an override"))
        };
        Observed {
            workloads: BTreeMap::from([(Kind::Deployment, deployments)]),
            overrides: Arc::new(self.overrides.iter().map(guarded).collect()),
            ..Observed::default()
        }
    }

    /// A pass whose status is written, and the live measurements of the canary after it.
    fn look(&mut self) -> Option<LiveRollout> {
        self.now += SignedDuration::from_secs(5);
        let judged = self.judged.iter().map(|one| (self.app.components[0].key.clone(), one.clone()));
        let (observed, samples) = (self.observed(), Samples::of_canaries(self.now, judged));
        let known = self.object.status.take();
        let view = View::new(&observed, &samples, self.now);
        let pass = decide::pass(&self.app, known.as_ref(), view, &mut self.memory);
        let pass = pass.components.into_iter().next().expect("a component");
        let status = StatusUpdate::of(known.as_ref(), 1, &[&pass.state], None);
        let status: ScalableAppStatus = status.status(known.as_ref(), self.now);
        self.events.extend(events(known.as_ref(), &status).into_iter().map(|one| one.note));
        self.object.status = Some(status);
        live_component(&self.app.components[0], &pass, &samples, &observed).rollout
    }

    /// Reason and message of an override's condition.
    fn said(&self, name: &str) -> (String, String) {
        let one = self.overrides.iter().find(|one| one.metadata.name.as_deref() == Some(name));
        let counting = Counting::of(&self.object, self.overrides.iter(), self.now);
        let target = Target::App(&self.object);
        let mut said = overrides::status(None, one.expect("an override"), target, &counting, self.now);
        let said = said.conditions.remove(0);
        (said.reason, said.message)
    }

    fn step(&self) -> i32 {
        let status = self.object.status.as_ref().and_then(|status| status.component("web"));
        status.and_then(|web| web.rollout.as_ref()).expect("a rollout").step
    }

    /// The judge waits for more evidence at the first step.
    fn judge(&mut self) {
        let kind = |kind, canary: f64, stable: f64, is_good| KindEvidence {
            kind,
            canary: BadOf { bad: canary, requests: 250.0 },
            stable: BadOf { bad: stable, requests: 750.0 },
            phi: 1.0,
            phi_slices: 1,
            ln_worse: 0.0,
            ln_better: 0.0,
            ln_share: 0.0,
            is_good,
        };
        let judgement = Judgement {
            verdict: CanaryVerdict::Hold,
            because: Because::TooLittleEvidence(BadKind::Errors),
            sentence: "Not decided yet in errors.".to_owned(),
            kinds: vec![kind(BadKind::Errors, 1.0, 2.0, false), kind(BadKind::Slow, 0.0, 0.0, true)],
            ln_worse: 0.0,
            attribution: None,
            slices: 4,
            expected_seconds: Some(120.0),
        };
        let time = |text: &str| text.parse().expect("a time");
        self.judged = Some(JudgedStep {
            canary: self.app.components[0].revision.to_string(),
            stable: STABLE.to_owned(),
            begun: time("1970-01-01T07:00:00Z"),
            step: 0,
            step_begun: Some(time("1970-01-01T07:01:00Z")),
            judgement,
        });
    }
}

#[test]
fn an_act_changes_the_rollout_once_and_its_condition_and_the_event_say_so() {
    let mut world = World::new();
    world.look();
    assert_eq!(world.step(), 1, "a new process begins nothing anew");
    world.events.clear();
    world.ask("go", &json!({"promote": {}}));
    assert_eq!(world.said("go").0, "InForce");
    world.look();
    world.look();
    let revision = world.app.components[0].revision.to_string();
    let acted = format!("jane promoted revision {revision} from step 1 of 2 to step 2");
    assert_eq!((world.step(), world.said("go")), (2, ("Acted".to_owned(), acted.clone())));
    let event = format!("web: revision {revision} begins step 2 of 2, with a weight of 50%: {acted}");
    assert_eq!(world.events, [event]);
    world.ask("stop", &json!({"abort": {}}));
    world.look();
    assert_eq!(world.said("stop").1, format!("jane aborted revision {revision} at step 2 of 2"));
    let event = format!("web: revision {revision} was aborted. jane aborted it: known.");
    assert_eq!(world.events.last(), Some(&event));
    world.ask("again", &json!({"promote": {}}));
    world.look();
    let refused = format!("revision {revision} was aborted before: retry it first");
    assert_eq!(world.said("again"), ("WithoutCanary".to_owned(), refused));
}

#[test]
fn the_numbers_of_a_canary_are_live_and_never_those_of_another_step() {
    let mut world = World::new();
    let before = world.look().expect("a canary");
    assert_eq!((before.pod_share, before.verdict.as_str(), before.request_share), (Some(0.25), "", None));
    world.judge();
    let live = world.look().expect("a canary");
    assert_eq!(
        (live.pod_share, live.request_share, live.expected_seconds),
        (Some(0.25), Some(0.25), Some(120.0))
    );
    assert_eq!((live.verdict.as_str(), live.message.as_str()), ("Hold", "Not decided yet in errors."));
    let kinds: Vec<_> =
        live.evidence.iter().map(|one| (one.kind.as_str(), one.canary_bad, one.is_enough)).collect();
    assert_eq!(kinds, [("errors", 1.0, false), ("slow requests", 0.0, true)]);
    world.ask("go", &json!({"promote": {}}));
    let next = world.look().expect("a canary");
    assert_eq!((world.step(), next.verdict.as_str()), (2, ""), "it was judged at the first step");
}
