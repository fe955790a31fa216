//! One pass over one app: what is observed goes into the engine, and what each component should have comes out. Pure.

pub mod component_state;

use crate::{
    apply::failing::Failing,
    observe::{
        cluster::{
            caches::Observed,
            workload::{self, LiveRevision},
        },
        query_plan::{Sources, sources},
        samples::Samples,
    },
    resolve::{
        app::{App, Service},
        overrides::InForce,
    },
};
use component_state::{ComponentState, Failure, MetricsState, OTHER_SCALER, was_applied};
use jiff::Timestamp;
use kube::ResourceExt;
use scalableapp_crds::limits::{self, clip};
use scalableapp_crds::{
    ComponentStatus, DecisionRecord, Proposal, ScalableAppStatus, ScalingOverride, ScalingOverrideSpec, Stage,
};
use scalableapp_engine::{
    Decision, Input, Invalid,
    bounds::overrides::Overrides,
    decide,
    hpa::pod::Pod,
    hpa::signal::PodTiming,
    memory::Memory,
    propose::metric::Metric,
    reason::{self, Reason},
    record::{OwnedInput, Record},
    rollout::{self, Amount, Revision, Rolling},
};
use std::{collections::BTreeMap, mem};

/// What a pass looks at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// What the caches hold of the app.
    pub observed: &'a Observed,
    /// What was measured.
    pub samples: &'a Samples,
    /// The time of the pass.
    pub now: Timestamp,
    /// Whether decisions are recorded with everything that they depended on, which must be copied for that.
    pub recording: bool,
}

/// What is remembered of one component between two passes.
#[derive(Clone, Default)]
pub struct ComponentMemory {
    /// Boxed, because a map keeps room for several.
    scaling: Option<Box<Memory>>,
    /// Where the metrics were read that `scaling` remembers.
    sources: Sources,
    /// Generation that the cache must show of a Deployment before the component is decided again.
    awaited: BTreeMap<String, i64>,
    /// The replicas that were asked for when the process began, and then those that it wrote. What was said and then not
    /// written is none of them: a scaling that starts from it would pass its policies.
    wanted: Option<i32>,
    /// Whether they are known to have been written, so that other ones are somebody else's.
    is_written: bool,
    /// Whether no Deployment was left, and replicas of the one that comes were not written yet.
    begins: bool,
    /// Writes that failed.
    pub failing: Failing,
}

/// What a pass says of one component.
pub struct ComponentPass {
    /// Its state after the pass.
    pub state: ComponentState,
    /// The decision, without its memory, which the component's has taken; nothing while the cache does not show the last
    /// write, or before the first samples of a tenure.
    pub decision: Option<Decision>,
    /// `spec.replicas` of each revision, by hash.
    pub planned: BTreeMap<String, i32>,
    /// The decision with everything that it depended on, if it is one to record and decisions are recorded.
    pub recorded: Option<Record>,
}

impl ComponentMemory {
    /// Forgets what the metrics asked for: nobody looked at them for a while.
    pub fn forget_recommendations(&mut self) {
        if let Some(scaling) = &mut self.scaling {
            scaling.forget_recommendations();
        }
    }

    /// Waits for a write to show in the cache.
    pub fn await_generation(&mut self, deployment: &str, generation: Option<i64>) {
        self.awaited.insert(deployment.to_owned(), generation.unwrap_or_default());
    }

    /// Remembers that the replicas of a decision were written, or may have been.
    pub fn commit(&mut self, service: &Service, decision: &Decision, is_certain: bool) {
        (self.wanted, self.is_written, self.begins) = (Some(decision.desired), is_certain, false);
        if let (Some(memory), Some(change)) = (&mut self.scaling, &decision.change) {
            memory.record(change, &service.scaling.behavior);
        }
    }

    /// Forgets what was learned of metrics that are read from elsewhere now.
    fn read_from(&mut self, sources: Sources) {
        if let Some(scaling) = &mut self.scaling {
            let others = self.sources.iter().filter(|(metric, source)| sources.get(*metric) != Some(*source));
            others.for_each(|(metric, _)| scaling.forget_metric(metric));
        }
        self.sources = sources;
    }

    /// The replicas that scaling starts from.
    fn current(&mut self, rolling: &[Revision], known: Option<&ComponentStatus>) -> i32 {
        if self.scaling.is_none() {
            self.wanted = known.map(|known| known.desired);
        }
        // With no Deployment left, for example deleted by hand, the last decision is what there was. The one that comes has one
        // replica, which nobody asked for, until others are written.
        self.begins |= rolling.is_empty();
        if self.begins { self.wanted.unwrap_or(0) } else { rollout::current_replicas(rolling, self.wanted) }
    }

    /// Whether the cache shows every write of replicas. What is gone from the cache was deleted, or is not there yet;
    /// either way there is nothing to wait for once the API server has said so.
    fn is_shown(&mut self, revisions: &[LiveRevision]) -> bool {
        self.awaited.retain(|name, generation| {
            revisions.iter().any(|revision| {
                revision.deployment.name_any() == *name
                    && revision.deployment.metadata.generation.unwrap_or_default() < *generation
            })
        });
        self.awaited.is_empty()
    }
}

/// Decides every component of an app.
pub fn pass(
    app: &App,
    known: Option<&ScalableAppStatus>,
    view: View<'_>,
    memories: &mut BTreeMap<String, ComponentMemory>,
) -> Vec<ComponentPass> {
    memories.retain(|name, _| app.services.iter().any(|service| service.name.as_str() == name));
    let is_known = |name: &str| app.services.iter().any(|service| service.name.as_str() == name);
    let in_force = InForce::of(view.observed.readable_overrides(), is_known, view.now);
    let paused = in_force.pause.map(pause);
    let was_applied = was_applied(known, app.generation);
    app.services
        .iter()
        .map(|service| {
            let name = service.name.as_str();
            let known = known.and_then(|status| status.component(name));
            let memory = memories.entry(name.to_owned()).or_default();
            if !service.is_valid() {
                let mut pass = invalid_component(app, service, known, view, memory);
                pass.state.paused.clone_from(&paused);
                return pass;
            }
            let failure = memory.failing.said(was_applied);
            let mut pass = match &paused {
                Some(paused) => paused_component(app, service, known, view, memory, paused),
                None => component(app, service, known, view, &in_force.component(name), memory),
            };
            (pass.state.was_applied, pass.state.failure) = (was_applied, failure);
            if let Some(paused) = paused.as_ref().filter(|_| !was_applied) {
                let message = format!("generation {} is not applied: {paused}", app.generation);
                pass.state.failure.get_or_insert(Failure { reason: reason::PAUSED, message });
            }
            pass
        })
        .collect()
}

fn component(
    app: &App,
    service: &Service,
    known: Option<&ComponentStatus>,
    view: View<'_>,
    overrides: &Overrides,
    memory: &mut ComponentMemory,
) -> ComponentPass {
    let View { observed, samples, now, recording } = view;
    let name = service.name.as_str();
    let key = &service.key;
    let mut state = state(app, service, known, observed, now);
    let is_measured = service.scaling.metrics.is_empty() || samples.were_taken();
    let is_new = state.revisions.is_empty();
    if !memory.is_shown(&state.revisions) || !(is_measured || is_new) || memory.failing.is_recent(now) {
        return undecided(state);
    }
    let rolling: Vec<Revision> = state.revisions.iter().map(|one| revision(one, &state.target)).collect();
    memory.read_from(sources(service));
    let current = memory.current(&rolling, known);
    // An earlier process may have said replicas and then not written them.
    let decided = memory.wanted.filter(|_| memory.is_written || manager(&state).is_some());
    let scaling = memory.scaling.get_or_insert_with(|| {
        let persisted = known.and_then(|known| known.memory.as_ref());
        Box::new(persisted.map(|persisted| Memory::restore(persisted, now)).unwrap_or_default())
    });
    let engine_pods: Vec<Pod> =
        observed.pods_of(name).map(|seen| Pod { usage: samples.usage(seen), ..seen.pod.clone() }).collect();
    let mut readings = samples.readings(key);
    // Until the next tick the samples are those of the app as it was before an edit.
    readings.retain(|metric, _| samples.source(key, metric) == memory.sources.get(metric));
    let input = Input {
        now,
        min_replicas: service.scaling.min_replicas,
        schedules: &service.scaling.schedules,
        max_replicas: service.scaling.max_replicas,
        metrics: &service.scaling.metrics,
        behavior: &service.scaling.behavior,
        current_replicas: current,
        decided_replicas: decided,
        status_replicas: state.revisions.iter().map(|revision| revision.pods).sum(),
        pods: &engine_pods,
        readings: &readings,
        max_sample_age: samples.max_age(),
        timing: PodTiming::default(),
        forecast: service.scaling.forecast,
        seasons: samples.seasons(key),
        fallback: service.scaling.fallback,
        overrides,
    };
    let kept = recording.then(|| OwnedInput::of(&input, scaling));
    let mut decision = decide(&input, mem::take(scaling));
    let planned = planned(decision.desired, rolling, &state.target, service);
    state.decided = true;
    state.desired = decision.desired;
    state.limited_by.clone_from(&decision.limited_by);
    state.limit = limit(&decision, overrides, observed);
    state.measured = evidence(service, samples, &decision, &engine_pods, state.ready(), now);
    let other = other_scaler(&state, decided, &decision);
    record(&mut state, service, known, &decision, other.is_some(), now);
    let recorded = kept.zip(state.record.clone()).map(|(input, decision)| Record {
        namespace: app.namespace.clone(),
        app: app.name.to_string(),
        component: name.to_owned(),
        input,
        decision,
    });
    tell_of(other, state.record.as_mut());
    **scaling = mem::take(&mut decision.memory);
    ComponentPass { state, decision: Some(decision), planned, recorded }
}

/// `spec.replicas` of each revision, by hash.
fn planned(
    desired: i32,
    mut rolling: Vec<Revision>,
    target: &str,
    service: &Service,
) -> BTreeMap<String, i32> {
    let mut limits = service.rolling;
    if !rolling.iter().any(|revision| revision.is_target) {
        rolling.push(Revision { hash: target.to_owned(), replicas: 0, available: 0, is_target: true });
        // Its Deployment may be refused. Nothing makes room for it before it is there.
        limits = Rolling { max_surge: Amount::Pods(1), max_unavailable: Amount::Pods(0) };
    }
    let plan = rollout::plan(desired, &rolling, limits);
    plan.into_iter().map(|(hash, replicas)| (hash.to_owned(), replicas)).collect()
}

/// What is written of a component whose app is paused: nothing. Its past no longer tells when it may scale in.
fn paused_component(
    app: &App,
    service: &Service,
    known: Option<&ComponentStatus>,
    view: View<'_>,
    memory: &mut ComponentMemory,
    paused: &str,
) -> ComponentPass {
    memory.forget_recommendations();
    let state = state(app, service, known, view.observed, view.now);
    undecided(ComponentState { paused: Some(paused.to_owned()), ..state })
}

/// What is written of a component that cannot be done as it is declared: nothing, and what runs stays as it is.
fn invalid_component(
    app: &App,
    service: &Service,
    known: Option<&ComponentStatus>,
    view: View<'_>,
    memory: &mut ComponentMemory,
) -> ComponentPass {
    memory.forget_recommendations();
    // Nothing of it is written, so nothing is made again.
    memory.failing = Failing::default();
    let sentences: Vec<String> = service.problems.iter().map(ToString::to_string).collect();
    let failure = Failure { reason: reason::INVALID_SPEC, message: sentences.join("; ") };
    let state = state(app, service, known, view.observed, view.now);
    undecided(ComponentState { failure: Some(failure), ..state })
}

fn state(
    app: &App,
    service: &Service,
    known: Option<&ComponentStatus>,
    observed: &Observed,
    now: Timestamp,
) -> ComponentState {
    let name = service.name.as_str();
    let revisions = workload::revisions(observed, &app.uid, name);
    let target = service.revision.to_string();
    let (declared, others): (Vec<_>, Vec<_>) = revisions.iter().partition(|one| one.hash == target);
    let problem = |revisions: &[&LiveRevision]| workload::problem(revisions, observed.pods_of(name), now);
    let (problem, problem_of_others) = (problem(&declared), problem(&others));
    ComponentState {
        name: name.to_owned(),
        min: service.scaling.min_replicas,
        desired: known.map_or(0, |known| known.desired),
        target,
        problem,
        problem_of_others,
        revisions,
        ..ComponentState::default()
    }
}

fn undecided(state: ComponentState) -> ComponentPass {
    let planned = state.revisions.iter().map(|one| (one.hash.clone(), one.replicas)).collect();
    ComponentPass { state, decision: None, planned, recorded: None }
}

fn pause(by: &ScalingOverride) -> String {
    let ScalingOverrideSpec { by: who, expires_at, reason, .. } = &by.spec;
    format!("override {} by {who} pauses the app until {}: {reason}", by.name_any(), expires_at.0)
}

/// The first limit as a sentence; with who set it, until when and why, if that is somebody.
fn limit(decision: &Decision, overrides: &Overrides, observed: &Observed) -> String {
    let Some(limit) = decision.limited_by.first() else { return String::new() };
    let sentence = decision.sentence(*limit);
    let is_of_somebody = [reason::OVERRIDE, reason::HELD].contains(limit);
    let all = is_of_somebody.then(|| observed.readable_overrides()).into_iter().flatten();
    let who = all.filter(|one| overrides.names(&one.name_any())).map(|one| {
        let ScalingOverrideSpec { by, expires_at, reason, .. } = &one.spec;
        format!("{} is by {by} until {}: {reason}", one.name_any(), expires_at.0)
    });
    let who = who.collect::<Vec<_>>().join("; ");
    if who.is_empty() { sentence } else { format!("{sentence} {who}") }
}

fn revision(live: &LiveRevision, target: &str) -> Revision {
    Revision {
        hash: live.hash.clone(),
        replicas: live.replicas,
        available: live.ready,
        is_target: live.hash == target,
    }
}

/// Whether a metric has no say for another reason than the recorded decision tells.
fn evidence_is_news(recorded: &[Proposal], decision: &Decision) -> bool {
    let differs = |(metric, invalid): (&String, &Invalid)| {
        recorded.iter().any(|one| one.metric == *metric && one.reason != invalid.reason.name)
    };
    decision.hold.is_some() && decision.invalid.iter().any(differs)
}

/// Whether a hold begins or ends. While a metric is missing, whether that keeps a replica changes with every measurement.
fn hold_is_news(recorded: Option<&str>, decision: &Decision) -> bool {
    match decision.hold {
        None if recorded == Some(reason::NO_VALID_METRIC.name) => {
            let is_whole =
                |one: &Proposal| one.replicas.is_some() && !decision.invalid.contains_key(&one.metric);
            decision.invalid.is_empty() || decision.proposals.iter().any(is_whole)
        }
        None => recorded.is_some() && decision.invalid.is_empty(),
        Some(hold) => recorded != Some(hold.name),
    }
}

/// The stage at which a decision begins where somebody else has changed the replicas since the last one.
fn other_scaler(state: &ComponentState, decided: Option<i32>, decision: &Decision) -> Option<Stage> {
    let (wanted, found) = (decided?, decision.current);
    if wanted == found {
        return None;
    }
    let who = match manager(state) {
        Some(manager) => format!("field manager {manager}"),
        // The API server keeps no manager of replicas that were scaled before anybody had written them.
        None if state.revisions.iter().all(|one| one.hash == state.target || one.replicas == 0) => {
            "somebody".to_owned()
        }
        None => return None,
    };
    let effect = format!("{who} has set replicas to {found}; the last decision was {wanted}");
    Some(Stage { name: OTHER_SCALER.to_owned(), effect: clip(&effect, limits::EFFECT).into_owned() })
}

/// The field manager of the replicas, if it is somebody else's.
fn manager(state: &ComponentState) -> Option<&str> {
    state.revisions.iter().find_map(|revision| revision.deployment.part.scaled_by.as_deref())
}

/// Begins a record with that stage. What a log keeps of the decision has no such stage, or it could not be made again.
fn tell_of(other: Option<Stage>, record: Option<&mut DecisionRecord>) {
    let (Some(other), Some(record)) = (other, record) else { return };
    let message = format!("{}. {}", other.effect, record.message);
    record.message = clip(&message, limits::DECISION_MESSAGE).into_owned();
    record.stages.insert(0, other);
}

/// Records a decision when replicas, their limit, or a hold or its reason change, and never for a mere change of load.
/// Replicas also change where somebody else had changed them, and what is wanted stays.
fn record(
    state: &mut ComponentState,
    service: &Service,
    known: Option<&ComponentStatus>,
    decision: &Decision,
    is_of_other: bool,
    now: Timestamp,
) {
    let recorded_hold = known
        .and_then(|known| known.last_decision.as_ref())
        .map(|record| record.reason.as_str())
        .filter(|name| {
            [reason::NO_VALID_METRIC, reason::SCALE_IN_NEEDS_ALL_METRICS].iter().any(|r| r.name == *name)
        });
    let changes = (decision.current, decision.desired);
    let is_new = known.is_none_or(|known| {
        known
            .last_decision
            .as_ref()
            .is_none_or(|last| decision.change.is_some() && (last.from, last.to) != changes)
            || known.desired != decision.desired
            || is_of_other
            || known.limited_by != state.limited_by_names()
            || hold_is_news(recorded_hold, decision)
            || known.last_decision.as_ref().is_some_and(|last| evidence_is_news(&last.proposals, decision))
    });
    if is_new {
        state.record = Some(decision.record(now));
    }
    if let Some(change) = &decision.change {
        let mut memory = decision.memory.clone();
        memory.record(change, &service.scaling.behavior);
        state.memory = Some(memory.persist(now, &service.scaling.behavior));
    }
}

fn evidence(
    service: &Service,
    samples: &Samples,
    decision: &Decision,
    pods: &[Pod],
    ready: i32,
    now: Timestamp,
) -> MetricsState {
    if service.scaling.metrics.is_empty() {
        return MetricsState::NotAsked;
    }
    if !samples.were_taken() {
        return MetricsState::NotYet;
    }
    // The first replicas of a component are decided without a look at its metrics.
    if ready == 0 && (decision.current == 0 || !decision.invalid.is_empty()) {
        return MetricsState::NoPodReady;
    }
    let missing = |metric: &Metric| {
        let name = &metric.name;
        let Some(invalid) = decision.invalid.get(name) else {
            // Latency needs no evidence, and yet what was not answered is not fresh.
            let cause = samples.unanswered(&service.key, name, now)?;
            return Some((reason::METRIC_STALE, format!("{name}: {cause}")));
        };
        // The sentence of the list, not the age or count of the moment: a condition must not change with time alone.
        let what = match invalid.reason {
            // Only this names the pod and the container, and they stay the same.
            reason::REQUEST_MISSING => invalid.why.as_str(),
            reason => reason.sentence,
        };
        let cause = samples.problem(&service.key, name, pods, now);
        Some((invalid.reason, format!("{name}: {}", cause.as_deref().unwrap_or(what))))
    };
    let missing: Vec<(Reason, String)> = service.scaling.metrics.iter().filter_map(missing).collect();
    let Some((reason, _)) = missing.first().cloned() else { return MetricsState::Fresh };
    let sentences: Vec<String> = missing.into_iter().map(|(_, sentence)| sentence).collect();
    MetricsState::Missing(Failure { reason, message: sentences.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        apply::{failing::TRIED_AGAIN_AFTER, writer::WriteError},
        observe::cluster::cached::CachedDeployment,
        resolve::resolve,
    };
    use jiff::SignedDuration;
    use scalableapp_engine::reason::NO_VALID_METRIC;
    use serde_json::json;
    use std::sync::Arc;

    fn app() -> App {
        app_of(&json!({
            "minReplicas": 1, "maxReplicas": 9,
            "metrics": [{"name": "rps", "requestRate": {"perReplica": "10"}}],
        }))
    }

    fn app_of(scaling: &serde_json::Value) -> App {
        let app = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 1},
            "spec": {"services": [{
                "name": "web", "image": "shop:1", "port": 8080, "metricsPort": 9090, "scaling": scaling,
            }]},
        }));
        resolve(&app.expect("an app")).expect("no problem")
    }

    fn known(desired: i32) -> ScalableAppStatus {
        let status =
            json!({"components": [{"name": "web", "tier": "service", "desired": desired, "ready": 0}]});
        serde_json::from_value(status).expect("a status")
    }

    fn decided(known: Option<&ScalableAppStatus>) -> ComponentPass {
        decided_with(known, &Observed::default())
    }

    fn decided_with(known: Option<&ScalableAppStatus>, observed: &Observed) -> ComponentPass {
        let samples = Samples::default();
        let view = View { observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: true };
        pass(&app(), known, view, &mut BTreeMap::new()).remove(0)
    }

    #[test]
    fn a_component_that_cannot_be_done_stays_as_it_is_and_the_other_is_decided() {
        let app = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 1},
            "spec": {"image": "shop:1", "services": [
                {"name": "web", "port": 80, "podTemplate": {"spec": {"tolerationz": []}}},
                {"name": "api", "port": 80, "scaling": {"minReplicas": 3, "maxReplicas": 3}},
            ]},
        }));
        let app = resolve(&app.expect("an app")).expect("an app");
        let (observed, samples) = (deployed("1", &[("old", 4)]), Samples::default());
        let view =
            View { observed: &observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: false };
        let passes = pass(&app, Some(&known(4)), view, &mut BTreeMap::new());
        let failure = passes[0].state.failure.clone().expect("a failure");
        assert_eq!(failure.reason, reason::INVALID_SPEC);
        assert!(failure.message.contains("did you mean tolerations?"), "{}", failure.message);
        assert!(passes[0].decision.is_none() && passes[0].planned.values().eq([&4]));
        assert_eq!(passes[1].decision.as_ref().map(|decision| decision.desired), Some(3));
    }

    #[test]
    fn a_new_component_starts_with_its_fewest_replicas() {
        let pass = decided(None);
        assert_eq!(pass.planned, BTreeMap::from([(pass.state.target.clone(), 1)]));
    }

    #[test]
    fn metrics_of_a_component_without_a_pod_are_not_said_to_be_fresh() {
        let (observed, samples) = (Observed::default(), Samples::without_any(Timestamp::UNIX_EPOCH));
        let view =
            View { observed: &observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: false };
        let pass = pass(&app(), None, view, &mut BTreeMap::new()).remove(0);
        assert_eq!(
            (pass.decision.map(|decision| decision.current), pass.state.measured),
            (Some(0), MetricsState::NoPodReady)
        );
    }

    #[test]
    fn a_deployment_that_was_deleted_comes_back_with_the_last_decision() {
        let pass = decided(Some(&known(5)));
        assert!(pass.recorded.is_some_and(|record| record.replays()), "its record makes the same decision");
        assert_eq!(pass.planned, BTreeMap::from([(pass.state.target.clone(), 5)]));
        assert_eq!(pass.decision.expect("a decision").hold, Some(NO_VALID_METRIC));
    }

    #[test]
    fn a_deployment_that_came_back_and_could_not_be_scaled_yet_is_no_wish() {
        let app = app_of(&json!({"minReplicas": 5, "maxReplicas": 5}));
        let target = app.services[0].revision.to_string();
        let mut memories = BTreeMap::new();
        let mut current = |observed: &Observed| {
            let samples = Samples::default();
            let view = View { observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: false };
            let pass = pass(&app, Some(&known(5)), view, &mut memories).remove(0);
            let decision = pass.decision.expect("a decision");
            (decision.current, decision.desired)
        };
        let (none, one) = (Observed::default(), deployed("1", &[(&target, 1)]));
        assert_eq!(current(&one), (1, 5), "somebody has set one replica");
        assert_eq!((current(&none), current(&one)), ((5, 5), (5, 5)));
        let decision = decided(Some(&known(5))).decision.expect("a decision");
        memories.entry("web".to_owned()).or_default().commit(&app.services[0], &decision, true);
        let one = Revision { hash: target, replicas: 1, available: 1, is_target: true };
        assert_eq!(memories["web"].clone().current(&[one], None), 1, "they were written");
    }

    #[test]
    fn refused_replicas_are_not_decided_again_at_once() {
        let app = app_of(&json!({"minReplicas": 5, "maxReplicas": 5}));
        let (observed, samples) =
            (deployed("1", &[(&app.services[0].revision.to_string(), 3)]), Samples::default());
        let now = Timestamp::UNIX_EPOCH;
        let refused = WriteError::Refused { kind: "Deployment", message: "a policy says no".to_owned() };
        let mut memory = ComponentMemory::default();
        memory.failing.scaled(&Err(refused), now);
        let mut memories = BTreeMap::from([("web".to_owned(), memory)]);
        let mut is_decided = |after: SignedDuration| {
            let view = View { observed: &observed, samples: &samples, now: now + after, recording: false };
            pass(&app, Some(&known(5)), view, &mut memories).remove(0).decision.is_some()
        };
        assert!(!is_decided(SignedDuration::ZERO) && !is_decided(SignedDuration::from_secs(29)));
        assert!(is_decided(TRIED_AGAIN_AFTER));
        assert!(is_decided(-SignedDuration::from_hours(1)), "a clock that was set back holds nothing up");
    }

    #[test]
    fn a_hold_whose_reason_changes_is_recorded_again() {
        let decision = decided(Some(&known(5))).decision.expect("a decision");
        let mut recorded = decision.proposals.clone();
        assert!(decision.hold.is_some() && !evidence_is_news(&recorded, &decision));
        recorded[0].reason = reason::REQUEST_MISSING.name.to_owned();
        assert!(evidence_is_news(&recorded, &decision));
    }

    #[test]
    fn a_hold_that_comes_and_goes_with_the_load_is_said_once() {
        let mut decision = decided(Some(&known(5))).decision.expect("a decision");
        assert!(decision.hold.is_some() && hold_is_news(None, &decision));
        let recorded = Some(reason::SCALE_IN_NEEDS_ALL_METRICS.name);
        decision.hold = None;
        assert!(!hold_is_news(recorded, &decision), "a metric is still missing");
        let none = Some(reason::NO_VALID_METRIC.name);
        assert!(!hold_is_news(none, &decision));
        decision.proposals.push(Proposal {
            metric: "other".to_owned(),
            replicas: Some(5),
            ..decision.proposals[0].clone()
        });
        assert!(hold_is_news(none, &decision), "another one can be acted on again");
        decision.invalid.clear();
        assert!(hold_is_news(recorded, &decision) && !hold_is_news(None, &decision));
    }

    fn deployed(owner: &str, revisions: &[(&str, i32)]) -> Observed {
        let deployment = |(revision, replicas): &(&str, i32)| {
            let deployment = serde_json::from_value(json!({
                "metadata": {"name": format!("shop-web-{revision}"), "labels": {
                    "scalableapp.dev/app": "shop", "scalableapp.dev/component": "web",
                    "scalableapp.dev/revision": revision,
                }, "ownerReferences": [{
                    "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": "shop", "uid": owner,
                    "controller": true,
                }]},
                "spec": {"replicas": replicas},
            }));
            Arc::new(deployment.expect("a Deployment"))
        };
        Observed { deployments: Arc::new(revisions.iter().map(deployment).collect()), ..Observed::default() }
    }

    #[test]
    fn what_was_said_and_not_written_is_no_start_for_the_next_change() {
        let app = app_of(&json!({"minReplicas": 7, "maxReplicas": 7}));
        let observed = deployed("1", &[("old", 8), (&app.services[0].revision.to_string(), 2)]);
        let samples = Samples::default();
        let view =
            View { observed: &observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: false };
        let mut memories = BTreeMap::new();
        let mut current = |said: i32, is_written: bool| {
            let pass = pass(&app, Some(&known(said)), view, &mut memories).remove(0);
            let decision = pass.decision.expect("a decision");
            if is_written {
                memories.get_mut("web").expect("a memory").commit(&app.services[0], &decision, true);
            }
            decision.current
        };
        assert_eq!([current(8, false), current(7, true), current(7, false)], [8, 8, 7]);
    }

    #[test]
    fn a_revision_that_cannot_be_created_takes_no_replica_from_the_old_one() {
        let app = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 1},
            "spec": {"services": [{
                "name": "web", "image": "shop:2", "port": 80, "scaling": {"minReplicas": 8, "maxReplicas": 8},
                "rollout": {"rolling": {"maxUnavailable": "25%"}},
            }]},
        }));
        let app = resolve(&app.expect("an app")).expect("no problem");
        let (observed, samples) = (deployed("1", &[("old", 8)]), Samples::default());
        let view =
            View { observed: &observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: false };
        let pass = pass(&app, Some(&known(8)), view, &mut BTreeMap::new()).remove(0);
        assert_eq!(pass.planned.get("old"), Some(&8));
    }

    #[test]
    fn what_another_app_of_the_name_left_behind_is_not_scaled() {
        let app = app_of(&json!({"minReplicas": 5, "maxReplicas": 5}));
        let (observed, samples) = (deployed("2", &[("old", 8)]), Samples::default());
        let view =
            View { observed: &observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: false };
        let pass = pass(&app, None, view, &mut BTreeMap::new()).remove(0);
        assert_eq!(pass.planned, BTreeMap::from([(pass.state.target, 5)]));
    }

    #[test]
    fn a_copy_of_a_deployment_is_no_revision() {
        let app = app_of(&json!({"minReplicas": 5, "maxReplicas": 5}));
        let target = app.services[0].revision.to_string();
        let mut observed = deployed("1", &[(&target, 5), (&target, 5)]);
        let copy = &mut Arc::make_mut(&mut observed.deployments)[1];
        Arc::make_mut(copy).metadata.name = Some("copy".to_owned());
        let samples = Samples::default();
        let view =
            View { observed: &observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: false };
        let pass = pass(&app, Some(&known(5)), view, &mut BTreeMap::new()).remove(0);
        assert_eq!(pass.decision.expect("a decision").current, 5);
        assert_eq!(pass.state.revisions.len(), 1);
    }

    #[test]
    fn replicas_that_somebody_changed_are_put_right_on_record() {
        let app = app_of(&json!({"minReplicas": 5, "maxReplicas": 5}));
        let target = app.services[0].revision.to_string();
        let mut known = known(5);
        let mut record = |replicas: i32| {
            let (observed, samples) = (deployed("1", &[(&target, replicas)]), Samples::default());
            let view =
                View { observed: &observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: true };
            let state = |known: &_| pass(&app, Some(known), view, &mut BTreeMap::new()).remove(0).state;
            known.components[0].limited_by = state(&known).limited_by_names();
            let record = state(&known).record;
            known.components[0].last_decision = record.clone().or(known.components[0].last_decision.take());
            record.map(|record| (record.from, record.to))
        };
        assert_eq!([record(5), record(5), record(3), record(3)], [Some((5, 5)), None, Some((3, 5)), None]);
    }

    #[test]
    fn somebody_elses_write_is_told_by_its_field_manager_and_not_as_a_decision() {
        let target = app().services[0].revision.to_string();
        let told = |replicas: i32| {
            let mut observed = deployed("1", &[(&target, replicas)]);
            let mut deployment = CachedDeployment::clone(&observed.deployments[0]);
            deployment.part.scaled_by = Some("kube-controller-manager".into());
            observed.deployments = Arc::new(vec![Arc::new(deployment)]);
            let samples = Samples::default();
            let view =
                View { observed: &observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: true };
            let app = app_of(&json!({"minReplicas": 2, "maxReplicas": 2}));
            let pass = pass(&app, Some(&known(2)), view, &mut BTreeMap::new()).remove(0);
            assert!(
                pass.recorded.is_none_or(|record| record.replays()),
                "its record makes the same decision"
            );
            pass.state.record
        };
        let told_once = told(1).expect("a record");
        let words = "field manager kube-controller-manager has set replicas to 1; the last decision was 2";
        assert!(told_once.message.starts_with(words), "{}", told_once.message);
        assert_eq!((told_once.stages[0].name.as_str(), told_once.to), (OTHER_SCALER, 2));
        let untold = told(2).expect("the first record");
        assert!(!untold.message.contains("field manager"), "what it wrote is what was wanted");
    }

    #[test]
    fn what_an_earlier_process_said_and_did_not_write_is_not_restored() {
        let target = app().services[0].revision.to_string();
        let desired = |scaled_by: Option<&str>| {
            let mut observed = deployed("1", &[(&target, 1)]);
            let mut deployment = CachedDeployment::clone(&observed.deployments[0]);
            deployment.part.scaled_by = scaled_by.map(Into::into);
            observed.deployments = Arc::new(vec![Arc::new(deployment)]);
            let samples = Samples::without_any(Timestamp::UNIX_EPOCH);
            let view =
                View { observed: &observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: false };
            let pass = pass(&app(), Some(&known(3)), view, &mut BTreeMap::new()).remove(0);
            pass.decision.expect("a decision").desired
        };
        assert_eq!((desired(None), desired(Some("kubectl"))), (1, 3));
    }

    #[test]
    fn somebody_elses_write_is_told_where_the_api_server_names_nobody() {
        let app = app_of(&json!({"minReplicas": 2, "maxReplicas": 2}));
        let target = app.services[0].revision.to_string();
        let samples = Samples::default();
        let mut memories = BTreeMap::new();
        let mut told = |replicas: i32, is_certain: bool| {
            let observed = deployed("1", &[(&target, replicas)]);
            let view =
                View { observed: &observed, samples: &samples, now: Timestamp::UNIX_EPOCH, recording: false };
            let pass = pass(&app, Some(&known(2)), view, &mut memories).remove(0);
            let memory = memories.get_mut("web").expect("a memory");
            memory.commit(&app.services[0], &pass.decision.expect("a decision"), is_certain);
            pass.state
                .record
                .is_some_and(|record| record.message.starts_with("somebody has set replicas to 1;"))
        };
        assert!(!told(1, true), "an earlier process may have failed to write them");
        assert!(told(1, false), "this one has written two");
        assert!(!told(1, true), "it does not know whether it has");
    }

    #[test]
    fn a_paused_app_is_not_decided_and_says_who_paused_it() {
        let pause = json!({
            "metadata": {"name": "shop-pause"},
            "spec": {"app": "shop", "expiresAt": "2026-01-01T00:00:00Z", "by": "jane", "reason": "repair", "pause": {}},
        });
        let overrides = Arc::new(vec![Arc::new(serde_json::from_value(pause).expect("an override"))]);
        let pass = decided_with(Some(&known(5)), &Observed { overrides, ..Observed::default() });
        assert_eq!((pass.decision, pass.planned.len(), pass.state.desired), (None, 0, 5));
        let said = "override shop-pause by jane pauses the app until 2026-01-01T00:00:00Z: repair";
        assert_eq!(pass.state.paused.as_deref(), Some(said));
    }
}
