//! Live measurements on request: a pass over an app without a write. At rest no result of a pass is kept for this,
//! because those of thousands of apps would be replaced in every tick. I/O: none, but for the caches.

use super::{Context, diagnosis::diagnosis};
use crate::{
    decide::{
        self, ComponentPass, View,
        component_state::{ComponentState, Failure},
    },
    observe::{
        cluster::caches::{Observed, app_ref},
        prometheus::canary::trial_judge::JudgedStep,
        snapshot::Samples,
    },
    report::{
        attention::{Attention, attention},
        rollouts,
    },
    resolve::app::Component,
    runtime::{clock, live::LiveSource, metrics},
};
use futures::{FutureExt, future::BoxFuture};
use kube::ResourceExt;
use scalableapp_crds::{
    LiveApp, LiveBacklog, LiveBadRequests, LiveComponent, LiveMetric, LiveRollout, RolloutPhase,
    RolloutStatus, ScalableApp,
};
use scalableapp_engine::{
    ComponentDecision, reason,
    rollout::judge::verdict::{Judgement, KindEvidence},
};
use std::time::Duration;
use tokio::time::timeout;

/// How long a request waits for a reconcile of the app to end.
const PATIENCE: Duration = Duration::from_secs(2);

impl LiveSource for Context {
    fn app<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Option<LiveApp>> {
        show(self, namespace, name).boxed()
    }

    fn set_gauges(&self) {
        if self.writer.epoch().is_none() {
            return;
        }
        for guarded in self.cluster.apps.state() {
            let Ok(app) = &guarded.0 else { continue };
            let namespace = app.namespace().unwrap_or_default();
            for Attention { type_, status, reason } in
                app.status.iter().flat_map(|status| attention(&status.conditions))
            {
                metrics::condition(&namespace, &app.name_any(), type_, status, reason.name);
            }
            if let Some(bottleneck) = app.status.as_ref().and_then(|status| status.bottleneck.as_ref()) {
                let cause = reason::all().find(|reason| reason.name == bottleneck.cause);
                if let Some(cause) = cause {
                    metrics::bottleneck(&namespace, &app.name_any(), &bottleneck.component, cause.name);
                }
            }
            for component in app.status.iter().flat_map(|status| &status.components) {
                metrics::desired_replicas(&namespace, &app.name_any(), &component.name, component.desired);
                if let Some(rollout) = &component.rollout {
                    set_rollout_gauges(app, &component.name, rollout);
                }
            }
        }
    }
}

fn set_rollout_gauges(app: &ScalableApp, component: &str, rollout: &RolloutStatus) {
    let (namespace, name) = (app.namespace().unwrap_or_default(), app.name_any());
    let phase = match rollout.phase {
        RolloutPhase::Complete => "Complete",
        RolloutPhase::Progressing => "Progressing",
        RolloutPhase::Aborted => "Aborted",
    };
    metrics::rollout_phase(&namespace, &name, component, phase);
    if let Some(overdue) = rollouts::overdue(&app.spec, component, rollout, clock::wall()) {
        metrics::rollout_step(&namespace, &name, component, rollout.weight, overdue);
    }
}

async fn show(context: &Context, namespace: &str, name: &str) -> Option<LiveApp> {
    let guarded = context.cluster.apps.get(&app_ref(namespace, name))?;
    let app = guarded.0.as_ref().ok()?;
    let resolved = context.memories.resolve(app);
    let resolved = resolved.as_ref().as_ref().ok()?;
    let memory = context.memories.of(app);
    let mut memory = timeout(PATIENCE, memory.lock()).await.ok()?;
    memory.enter(context.writer.epoch()?, app);
    let observed = context.cluster.of_app(app);
    let samples = context.samples.latest();
    let now = clock::wall();
    let (writes, grants) = (memory.write_states(app, resolved, now), context.memories.grants(resolved));
    let view = View { writes: &writes, grants: &grants, ..View::new(&observed, &samples, now) };
    let (known, decisions) = memory.of_pass(app);
    let mut decisions = decisions.clone();
    let pass = decide::pass(resolved, known, view, &mut decisions);
    Some(LiveApp {
        observed_at: samples.taken()?,
        diagnosis: Some(diagnosis(resolved, &decisions, &samples, &pass)),
        components: pass
            .components
            .iter()
            .filter_map(|pass| {
                Some(live_component(resolved.component(&pass.state.name)?, pass, &samples, &observed))
            })
            .collect(),
    })
}

pub(super) fn live_component(
    component: &Component,
    pass: &ComponentPass,
    samples: &Samples,
    observed: &Observed,
) -> LiveComponent {
    let ComponentPass { state, decision, .. } = pass;
    let decision = decision.as_ref();
    let (reason, message) = told(state, decision);
    LiveComponent {
        name: state.name.clone(),
        desired: state.desired,
        ready: state.ready(),
        current: state.revisions.iter().map(|revision| revision.replicas).sum(),
        request_rate: samples.request_rate(&component.key),
        latency: samples.latency(&component.key),
        backlog: backlog(component, samples, observed),
        cache: samples.cache_use(&component.key),
        rollout: state.canary().map(|rollout| canary(component, state, rollout, samples)),
        metrics: decision.into_iter().flat_map(metrics).collect(),
        reason,
        message,
    }
}

fn backlog(component: &Component, samples: &Samples, observed: &Observed) -> Option<LiveBacklog> {
    let reading = samples.fresh_backlog(&component.key)?;
    let draining = observed.pods_of(component.name.as_str()).filter(|pod| pod.pod.deleting).count();
    Some(LiveBacklog {
        waiting: reading.waiting,
        running: reading.running,
        oldest_seconds: reading.oldest_seconds,
        draining: u32::try_from(draining).unwrap_or(u32::MAX),
    })
}

/// The canary of a component in numbers. What was judged of another step or another revision is not shown.
fn canary(
    component: &Component,
    state: &ComponentState,
    rollout: &RolloutStatus,
    samples: &Samples,
) -> LiveRollout {
    let ready = state.ready();
    let of_canary = state.revisions.iter().find(|one| one.hash == rollout.canary).map_or(0, |one| one.ready);
    let pod_share = (ready > 0).then(|| f64::from(of_canary) / f64::from(ready));
    let is_of_step = |judged: &&JudgedStep| {
        (&judged.canary, &judged.stable) == (&rollout.canary, &rollout.stable)
            && i32::try_from(judged.step + 1) == Ok(rollout.step)
            && rollout.begun.as_ref().is_some_and(|begun| begun.0.as_second() == judged.begun.as_second())
    };
    let Some(judged) = samples.judged(&component.key).filter(is_of_step) else {
        return LiveRollout { pod_share, message: rollout.message.clone(), ..LiveRollout::default() };
    };
    let Judgement { verdict, sentence, kinds, expected_seconds, .. } = &judged.judgement;
    let counted = kinds.first().map(|one| (one.canary.requests, one.stable.requests));
    let share = |(canary, stable): (f64, f64)| (canary + stable > 0.0).then(|| canary / (canary + stable));
    LiveRollout {
        pod_share,
        request_share: counted.and_then(share),
        verdict: format!("{verdict:?}"),
        message: sentence.clone(),
        expected_seconds: *expected_seconds,
        evidence: kinds.iter().map(bad_requests).collect(),
    }
}

fn bad_requests(of: &KindEvidence) -> LiveBadRequests {
    LiveBadRequests {
        kind: of.kind.noun().to_owned(),
        canary_bad: of.canary.bad,
        canary_requests: of.canary.requests,
        stable_bad: of.stable.bad,
        stable_requests: of.stable.requests,
        is_enough: of.is_good,
    }
}

/// The reason of a component and its sentence, as in conditions and events.
fn told(state: &ComponentState, decision: Option<&ComponentDecision>) -> (String, String) {
    if let Some(paused) = &state.paused {
        return (reason::PAUSED.name.to_owned(), paused.clone());
    }
    if let Some(Failure { reason, message }) = &state.failure {
        return (reason.name.to_owned(), message.clone());
    }
    let Some(decision) = decision else { return <_>::default() };
    match state.shortage() {
        Some(Failure { reason, message }) => {
            (reason.name.to_owned(), format!("{} Only {message}", decision.message()))
        }
        None => (decision.reason.name.to_owned(), decision.message()),
    }
}

fn metrics(decision: &ComponentDecision) -> impl Iterator<Item = LiveMetric> {
    decision.proposals.iter().map(|proposal| LiveMetric {
        name: proposal.metric.clone(),
        value: proposal.value.clone(),
        target: proposal.target.clone(),
        quality: if proposal.reason.is_empty() { "Fresh".to_owned() } else { proposal.reason.clone() },
        proposal: proposal.replicas,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kinds::Kind,
        observe::cluster::{
            caches::{GuardedOverride, Observed},
            children::Siblings,
        },
        report::{StatusUpdate, events::events},
        resolve::{app::App, resolve},
    };
    use jiff::{SignedDuration, Timestamp};
    use scalableapp_crds::{Condition, ScalableAppStatus};
    use serde_json::{Value, json};
    use std::{collections::BTreeMap, sync::Arc};

    /// An app of one component with its own clock, whose pods start at once, up to a quota.
    struct Stack {
        app: App,
        now: Timestamp,
        replicas: i32,
        quota: i32,
        overrides: Siblings<GuardedOverride>,
        status: Option<ScalableAppStatus>,
        memory: decide::DecideMemory,
        events: Vec<String>,
        /// Value of the query for the breakers of `payments` until ten o'clock, and 0 from then on; not a number without
        /// an answer.
        breaker: f64,
    }

    /// The reports of each place on the component's replicas.
    #[derive(Debug)]
    struct Places {
        condition: Condition,
        app_limited_by: String,
        component_limited_by: String,
        recorded: (String, String),
        live: (String, String),
    }

    impl Stack {
        /// At eight o'clock, with `replicas` pods.
        fn new(scaling: &Value, replicas: i32) -> Self {
            Self::of(scaling, replicas, &json!({}))
        }

        /// The same with a connection pool, of whose database nothing is known.
        fn pooled(scaling: &Value, replicas: i32) -> Self {
            Self::of(scaling, replicas, &json!({"connectionPool": {"database": "main", "size": 5}}))
        }

        fn of(scaling: &Value, replicas: i32, fields: &Value) -> Self {
            let mut service = json!({"name": "web", "image": "shop:1", "port": 8080, "scaling": scaling});
            service.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
            let app = serde_json::from_value(json!({
                "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 1},
                "spec": {
                    "services": [service],
                    "dependencies": [{"name": "payments", "circuit": {"prometheus": {"query": "pay", "values": [
                        {"value": 0, "state": "closed"}, {"value": 1, "state": "open"},
                    ]}}}],
                    "databases": [{"name": "main", "postgres": {"primary": {"secretRef": {"name": "shop-db"}}}}],
                },
            }));
            Self {
                app: resolve(&app.expect("an app")).expect("no problem"),
                now: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(8),
                replicas,
                quota: i32::MAX,
                overrides: Siblings::default(),
                status: None,
                memory: decide::DecideMemory::default(),
                events: Vec::new(),
                breaker: f64::NAN,
            }
        }

        /// The same with a service that calls a dependency, whose breakers have this value.
        fn calling(scaling: &Value, replicas: i32, breaker: f64) -> Self {
            Self { breaker, ..Self::of(scaling, replicas, &json!({"calls": ["payments"]})) }
        }

        fn overridden(mut self, act: &Value) -> Self {
            let mut spec =
                json!({"app": "shop", "expiresAt": "1970-01-01T10:00:00Z", "by": "jane", "reason": "repair"});
            spec.as_object_mut().expect("fields").extend(act.as_object().expect("fields").clone());
            let object = json!({"metadata": {"name": "act"}, "spec": spec});
            self.overrides = Arc::new(vec![Arc::new(serde_json::from_value(object).expect("an override"))]);
            self
        }

        fn observed(&self) -> Observed {
            let revision = self.app.components[0].revision.to_string();
            let pods = self.replicas.min(self.quota);
            let refused = json!([{"type": "ReplicaFailure", "status": "True",
                "message": "pods \"shop-web-1\" is forbidden: exceeded quota: small"}]);
            let deployment = serde_json::from_value(json!({
                "metadata": {"name": format!("shop-web-{revision}"), "labels": {
                    "scalableapp.dev/app": "shop", "scalableapp.dev/component": "web",
                    "scalableapp.dev/revision": revision,
                }, "ownerReferences": [{
                    "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": "shop", "uid": "1",
                    "controller": true,
                }]},
                "spec": {"replicas": self.replicas},
                "status": {"replicas": pods, "readyReplicas": pods,
                    "conditions": if pods < self.replicas { refused } else { json!([]) }},
            }));
            let deployments = Arc::new(vec![Arc::new(deployment.expect("a Deployment"))]);
            let workloads = BTreeMap::from([(Kind::Deployment, deployments)]);
            let pod = |index| {
                let pod = serde_json::from_value(json!({
                    "metadata": {"name": format!("web-{index}"), "labels": {
                        "scalableapp.dev/app": "shop", "scalableapp.dev/component": "web",
                        "scalableapp.dev/tier": "service", "scalableapp.dev/revision": revision,
                        "pod-template-hash": "1",
                    }, "ownerReferences": [{
                        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("shop-web-{revision}-1"),
                        "uid": "2", "controller": true,
                    }]},
                    "status": {"phase": "Running", "startTime": "1970-01-01T00:00:00Z", "conditions": [
                        {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z"},
                    ]},
                }));
                Arc::new(pod.expect("a pod"))
            };
            let pods = Arc::new((0..pods).map(pod).collect());
            Observed { workloads, pods, overrides: Arc::clone(&self.overrides), ..Observed::default() }
        }

        fn samples(&self) -> Samples {
            let ten = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(10);
            let value = if self.now < ten { self.breaker } else { 0.0 };
            let states = (0..self.replicas).map(|index| (format!("web-{index}"), value));
            let states: Vec<_> = states.filter(|(_, value)| !value.is_nan()).collect();
            Samples::of_breakers(&self.app, "pay", self.now, states)
        }

        /// A pass after some seconds, whose status and replicas are written.
        fn look(&mut self, seconds: i64) -> Places {
            self.now += SignedDuration::from_secs(seconds);
            let (observed, samples) = (self.observed(), self.samples());
            let view = View::new(&observed, &samples, self.now);
            let pass = decide::pass(&self.app, self.status.as_ref(), view, &mut self.memory);
            let pass = pass.components.into_iter().next().expect("a component");
            let known = self.status.take();
            let status =
                StatusUpdate::of(known.as_ref(), 1, &[&pass.state], None).status(known.as_ref(), self.now);
            self.events.extend(events(known.as_ref(), &status).into_iter().map(|one| one.note));
            if let Some(decision) = &pass.decision {
                self.replicas = decision.desired;
                self.memory.commit(&self.app.components[0], decision, true);
            }
            let limited = status.conditions.iter().find(|one| one.type_ == "ScalingLimited");
            let web = status.component("web").expect("the component");
            let places = Places {
                condition: limited.expect("the condition").clone(),
                app_limited_by: status.limited_by.clone(),
                component_limited_by: web.limited_by.clone(),
                recorded: web
                    .last_decision
                    .clone()
                    .map(|last| (last.reason, last.message))
                    .unwrap_or_default(),
                live: told(&pass.state, pass.decision.as_ref()),
            };
            self.status = Some(status);
            places
        }
    }

    fn schedule(min: i32, max: i32, scheduled: i32) -> Value {
        let office = json!({"name": "office", "timeZone": "UTC", "from": "0 7 * * *", "to": "0 9 * * *", "minReplicas": scheduled});
        json!({"minReplicas": min, "maxReplicas": max, "schedules": [office]})
    }

    fn on_a_query(min: i32, max: i32) -> Value {
        let metric = json!({"name": "carts", "prometheus": {"query": "sum(carts)", "perReplica": "1"}});
        json!({"minReplicas": min, "maxReplicas": max, "metrics": [metric], "fallback": {"after": "1m", "replicas": max}})
    }

    fn fixed(replicas: i32) -> Value {
        json!({"minReplicas": replicas, "maxReplicas": replicas})
    }

    /// A reason, the places that report it, a change that ends it, and the words of the condition.
    type Situation = (&'static str, Stack, fn(&mut Stack), String);

    fn situations() -> Vec<Situation> {
        let of_jane = "act is by jane until 1970-01-01T10:00:00Z: repair";
        let wins = "which wins over";
        vec![
            (
                "Schedule",
                Stack::new(&schedule(1, 4, 3), 1),
                |_| {},
                "At least 3 replicas by schedule office.".into(),
            ),
            (
                "MaxReplicas",
                Stack::new(&schedule(1, 4, 9), 1),
                |_| {},
                format!("At most 4 replicas by maxReplicas, {wins} 9 by schedule office."),
            ),
            (
                "Fallback",
                Stack::new(&on_a_query(1, 3), 1),
                |_| {},
                "At least 3 replicas by fallback without carts.".into(),
            ),
            (
                "Held",
                Stack::new(&on_a_query(1, 3), 2).overridden(&json!({"hold": {}})),
                |_| {},
                format!("At most 2 replicas by override act, {wins} 3 by fallback without carts. {of_jane}"),
            ),
            (
                "Override",
                Stack::new(&fixed(4), 4).overridden(&json!({"replicas": {"max": 3}})),
                |_| {},
                format!("At most 3 replicas by override act, {wins} 4 by minReplicas. {of_jane}"),
            ),
            (
                "ConnectionBudget",
                Stack::pooled(&schedule(1, 4, 3), 1),
                |_| {},
                format!(
                    "At most 1 replica by the unknown connection budget of database main, {wins} 3 by schedule office."
                ),
            ),
            (
                "Paused",
                Stack::new(&fixed(4), 4).overridden(&json!({"pause": {}})),
                |_| {},
                "override act by jane pauses the app until 1970-01-01T10:00:00Z: repair".into(),
            ),
            (
                "PodsRefused",
                Stack::new(&schedule(1, 4, 4), 1),
                |stack| stack.quota = 2,
                "2 of 4 replicas are ready".into(),
            ),
        ]
    }

    /// The same of circuit breakers.
    fn of_breakers() -> Vec<Situation> {
        vec![
            (
                "DependencyDegraded",
                Stack::calling(&schedule(1, 4, 1), 4, 1.0),
                |_| {},
                format!("{} This is the degraded dependency payments.", reason::DEPENDENCY_DEGRADED.sentence),
            ),
            (
                "CircuitUnknown",
                Stack::calling(&schedule(1, 4, 1), 4, f64::NAN),
                |_| {},
                format!("{} This is the unknown circuit of payments.", reason::CIRCUIT_UNKNOWN.sentence),
            ),
        ]
    }

    fn agree(reason: &str, words: &str, places: &Places, events: &[String]) {
        let Places { condition, app_limited_by, component_limited_by, recorded, live } = places;
        assert_eq!((condition.reason.as_str(), live.0.as_str()), (reason, reason), "{places:?}");
        let first = words.split(". ").next().expect("a sentence");
        assert!(condition.message.contains(words) && live.1.contains(first), "{places:?}");
        assert!(app_limited_by.contains(reason), "{places:?}");
        match reason {
            // Not from the decision, but from its result.
            "PodsRefused" => assert!(events.iter().any(|note| note.contains(words)), "{events:?}"),
            "Paused" => assert!(recorded.1.is_empty()),
            _ => {
                assert!(component_limited_by.starts_with(reason), "{places:?}");
                assert!(
                    recorded.0 == reason || recorded.1.contains(&format!("limited by {reason}")),
                    "{places:?}"
                );
                assert!(recorded.1.starts_with(first), "{places:?}");
            }
        }
    }

    #[test]
    fn every_place_names_the_same_reason_while_its_cause_lasts() {
        for (reason, mut stack, change, words) in situations().into_iter().chain(of_breakers()) {
            change(&mut stack);
            for seconds in [0, 5, 60, 5, 5] {
                stack.look(seconds);
            }
            let places = stack.look(120);
            agree(reason, &words, &places, &stack.events);
            let known = stack.status.clone();
            stack.look(5);
            assert_eq!(stack.status, known, "{reason}: at rest nothing is written");
            // At ten o'clock schedule and override have ended, and the quota allows pods; the metric is still missing.
            stack.quota = i32::MAX;
            stack.look(2 * 3600);
            let places = stack.look(5);
            let is_over = places.condition.reason != reason && places.live.0 != reason;
            assert!(is_over || reason == "Fallback", "{places:?}");
        }
    }
}
