//! One pass over one app. Pure.

use super::{
    clusters::{named, with_obstacle},
    component_state::{ComponentState, Failure, WriteState, was_applied},
    deletion_costs::CostChanges,
    ejection::{EjectionStep, ejections, is_ejected},
    evidence::AppEvidence,
    leaving::{keep_leaving_shards, ordinal},
    memory::DecideMemory,
    metrics_state::metrics_state,
    news, other_scaler,
    removed::Removed,
    routes::{Routed, routes},
    selection::{ServiceSelection, selected, selections},
    shard_memory::{CacheMemory, observed_memory, shard_memory},
    ungranted::ungranted,
};
use crate::{
    kinds::Kind,
    observe::{
        cluster::{
            caches::Observed,
            named::NamedCluster,
            pods::CachedPod,
            workload::{self, LiveRevision},
        },
        snapshot::Samples,
    },
    resolve::{
        app::{App, Component},
        overrides::InForce,
    },
};
use jiff::Timestamp;
use kube::ResourceExt;
use scalableapp_crds::{
    ComponentStatus, DecisionRecord, ScalableAppStatus, ScalingMemory, ScalingOverride, ScalingOverrideSpec,
    Tier,
};
use scalableapp_engine::{
    ComponentDecision, Decision, Input,
    allot::grants::{AppDemands, AppGrants},
    bounds::{circuit::DependencyState, overrides::Overrides},
    decide,
    diagnose::standing::Bottleneck,
    evidence::recorded::Recorder,
    hpa::pod::Pod,
    limits::Limits,
    memory::ComponentMemory,
    reason,
    record::{Record, RecordedInput},
    rollout::{Plan, rolling::Revision},
    state::{self, State, Undecided},
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The input of a pass.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The cached objects of the app.
    pub observed: &'a Observed,
    /// The samples.
    pub samples: &'a Samples,
    /// Components with failed writes, by name.
    pub writes: &'a BTreeMap<String, WriteState>,
    /// The app's grants from shared budgets.
    pub grants: &'a AppGrants,
    /// The time of the pass.
    pub now: Timestamp,
    /// Whether decisions are recorded with their input, which must be copied for that.
    pub recording: bool,
}

impl<'a> View<'a> {
    /// A view without failed writes, shared budgets or recording.
    #[must_use]
    pub fn new(observed: &'a Observed, samples: &'a Samples, now: Timestamp) -> Self {
        static NO_WRITES: BTreeMap<String, WriteState> = BTreeMap::new();
        static NO_GRANTS: AppGrants = AppGrants::new();
        Self { observed, samples, writes: &NO_WRITES, grants: &NO_GRANTS, now, recording: false }
    }
}

/// The result of a pass over an app.
#[derive(Default)]
pub struct Pass {
    /// The result for each component, in the order of the spec.
    pub components: Vec<ComponentPass>,
    /// What is wrong with the app; `None` while nothing is, or too little is known.
    pub bottleneck: Option<Bottleneck>,
    /// The replicas that each revision of the decided components should have now.
    pub plan: Plan,
    /// The shards of each cache that do not leave, by its name.
    pub kept: BTreeMap<String, i32>,
    /// The deletion costs to write before revisions shrink.
    pub costs: CostChanges,
    /// The pods that leave or re-enter the Service of their component, by its name.
    pub ejections: BTreeMap<String, EjectionStep>,
    /// Size of the connection pools of each component, by its name, where it is known.
    pub pools: BTreeMap<String, i32>,
    /// The memory of the shards of each cache, by its name.
    pub memory: BTreeMap<String, CacheMemory>,
    /// The app's needs from shared budgets.
    pub demands: AppDemands,
    /// How the requests of each service with a route are divided, by its name.
    pub routes: BTreeMap<String, Routed>,
    /// What the Services of each component with a blue-green rollout select, by its name.
    pub selections: BTreeMap<String, ServiceSelection>,
    /// Data tiers that are no longer declared and still used.
    pub removed: Removed,
    /// The decisions to record with everything that they depended on, if there are any and decisions are recorded.
    pub recorded: Option<Record>,
}

/// The result of a pass for one component.
pub struct ComponentPass {
    /// Its state after the pass.
    pub state: ComponentState,
    /// The decision; `None` while the cache does not show the last write, or before the first samples of a tenure.
    pub decision: Option<ComponentDecision>,
    /// The decision to record, as it can be made again; nothing if it is not recorded.
    record: Option<DecisionRecord>,
}

/// The state of a component before its app is decided.
struct Before<'a> {
    resolved: &'a Component,
    state: ComponentState,
    undecided: Option<Undecided>,
}

/// Decides an app.
pub fn pass(app: &App, known: Option<&ScalableAppStatus>, view: View<'_>, memory: &mut DecideMemory) -> Pass {
    memory.retain(app);
    let (before, state, limits) = before(app, known, view, memory);
    memory.note_series(app, &state, view);
    let evidence = AppEvidence { app, samples: view.samples, memory };
    let input = Input {
        now: view.now,
        stack: &app.stack,
        state: &state,
        evidence: &evidence,
        limits: &limits,
        memory: &memory.decisions,
    };
    let (mut decision, recorded) = decided(&input, view.recording);
    let after = After { app, known, view, input: &input, decision: &decision };
    let mut components: Vec<_> = before.into_iter().map(|before| after.component(before)).collect();
    for one in &mut components {
        one.decision = decision.components.remove(&one.state.name);
    }
    memory.decisions = decision.memory;
    let of_shards = shard_memory(app, &components, view, memory);
    let mut plan = decision.plan;
    let kept = keep_leaving_shards(&mut plan, &components, view, memory);
    let routes = routes(app, known, &mut plan, &mut components, view, memory);
    let selections = selections(app, &components, known, view);
    let recorded = recorded.and_then(|input| record(app, input, &mut components));
    let removed = Removed::of(app, components.iter().map(|one| &one.state), view.observed);
    let (demands, pools, costs) = (decision.demands, decision.pools, CostChanges::new());
    let ejections = ejections(&components, view, memory);
    let bottleneck = decision.bottleneck;
    let pass = Pass {
        components,
        bottleneck,
        plan,
        kept,
        costs,
        ejections,
        pools,
        memory: of_shards,
        demands,
        routes,
        selections,
        removed,
        recorded,
    };
    Pass { costs: pass.cost_changes(app, view), ..pass }
}

/// The components before their app is decided, with their observed state and what limits them.
fn before<'a>(
    app: &'a App,
    known: Option<&ScalableAppStatus>,
    view: View<'_>,
    memory: &mut DecideMemory,
) -> (Vec<Before<'a>>, State, Limits) {
    let is_known = |name: &str| app.component(name).is_some();
    let in_force = InForce::of(view.observed.readable_overrides(), is_known, view.now);
    let paused = in_force.pause.map(pause);
    let (mut state, mut limits) = (State::default(), Limits::default());
    limits.grants.clone_from(view.grants);
    let mut before = Vec::with_capacity(app.components.len());
    for resolved in &app.components {
        let mut component = component_state(app, resolved, known, view);
        component.paused.clone_from(&paused);
        let observed = observed(app, resolved, &component, view, memory);
        let name = resolved.name.as_str();
        if observed.undecided.is_none() {
            memory.begin(resolved, known.and_then(|known| known.component(name)), view.now);
            if let Some(least) =
                named(resolved, view.observed).map(NamedCluster::least).filter(|one| *one > 0)
            {
                limits.required.insert(name.to_owned(), least);
            }
            let overrides = in_force.component(name, resolved.declared.min_replicas);
            if overrides != Overrides::default() {
                limits.overrides.insert(name.to_owned(), overrides);
            }
            if resolved.declared.canary.is_some() || resolved.declared.blue_green.is_some() {
                limit_rollout(name, &in_force, &mut limits);
            }
        }
        before.push(Before { resolved, state: component, undecided: observed.undecided });
        state.components.insert(name.to_owned(), observed);
    }
    (before, state, limits)
}

/// What people ask of the rollout of a component.
fn limit_rollout(name: &str, in_force: &InForce<'_>, limits: &mut Limits) {
    let acts = in_force.acts(name);
    if !acts.is_empty() {
        limits.acts.insert(name.to_owned(), acts);
    }
    if let Some(who) = in_force.rollout_hold(name) {
        limits.rollout_holds.insert(name.to_owned(), who);
    }
}

/// The decision, with its input if it is `recording`.
fn decided(input: &Input<'_>, recording: bool) -> (Decision, Option<RecordedInput>) {
    if !recording {
        return (decide(input), None);
    }
    let recorder = Recorder::new(input.evidence);
    let decision = decide(&Input { evidence: &recorder, ..*input });
    (decision, Some(RecordedInput::of(input, recorder.into_read())))
}

/// The record of the decisions that are recorded, if there are any.
fn record(app: &App, input: RecordedInput, components: &mut [ComponentPass]) -> Option<Record> {
    let records = components.iter_mut().filter_map(|one| Some((one.state.name.clone(), one.record.take()?)));
    let records: BTreeMap<String, DecisionRecord> = records.collect();
    (!records.is_empty()).then(|| Record::new((&app.namespace, app.name.as_str()), input, records))
}

/// The observed component, as the engine's input.
fn observed(
    app: &App,
    resolved: &Component,
    component: &ComponentState,
    view: View<'_>,
    memory: &mut DecideMemory,
) -> state::Observed {
    let name = resolved.name.as_str();
    let unshown = memory.unshown(name, &component.revisions);
    let is_measured = resolved.declared.metrics().is_empty() || view.samples.were_taken();
    let is_new = component.revisions.is_empty();
    let undecided = if !resolved.is_valid() {
        Some(Undecided::InvalidSpec)
    } else if component.paused.is_some() {
        Some(Undecided::Paused)
    } else if component.obstacle.is_some() {
        Some(Undecided::NotScalable)
    } else if !unshown.is_empty() {
        Some(Undecided::WriteNotShown)
    } else if !(is_measured || is_new) {
        Some(Undecided::NotMeasured)
    } else if view.writes.get(name).is_some_and(|writes| writes.is_recent) {
        Some(Undecided::WriteFailed)
    } else {
        None
    };
    // A cache is as large as its list.
    let shards = component.revisions.iter().map(|live| live.replicas).sum();
    let leaving = if component.tier == Tier::Cache { memory.leaving(name, shards) } else { None };
    let listed = leaving.map_or(i32::MAX, |leaving| leaving.listed(shards));
    let counts =
        |pod: &CachedPod| leaving.is_none() || ordinal(&pod.pod.name).is_some_and(|one| one < listed);
    let revision = |live: &LiveRevision| Revision {
        hash: live.hash.clone(),
        replicas: live.replicas.min(listed),
        available: live.ready,
        is_target: live.hash == component.target,
    };
    let pods = match named(resolved, view.observed) {
        Some(cluster) => cluster.pods(),
        None => {
            let counted = view.observed.pods_of(name).filter(|pod| counts(pod));
            counted.map(|cached| cached.pod.clone()).collect()
        }
    };
    let ejected = view.observed.pods_of(name).filter(|pod| is_ejected(pod, resolved.tier));
    state::Observed {
        ejected: ejected.map(|pod| pod.pod.name.to_string()).collect(),
        revisions: component.revisions.iter().map(revision).collect(),
        existing_replicas: component.revisions.iter().map(|revision| revision.pods).sum(),
        pods,
        selected: selected(app, resolved, view),
        scaled_by_other: other_scaler::manager(component).is_some(),
        ungranted: ungranted(resolved, &component.revisions, view.observed, view.now),
        shard_memory: observed_memory(resolved, component, view, memory),
        unshown,
        undecided,
    }
}

/// The result once the app is decided.
#[derive(Clone, Copy)]
struct After<'a> {
    app: &'a App,
    known: Option<&'a ScalableAppStatus>,
    view: View<'a>,
    input: &'a Input<'a>,
    decision: &'a Decision,
}

impl After<'_> {
    fn component(self, before: Before<'_>) -> ComponentPass {
        let Before { resolved, mut state, undecided } = before;
        self.note_failure(resolved, &mut state, undecided);
        let mut record = None;
        if let Some(decision) = self.decision.components.get(resolved.name.as_str()) {
            record = self.note_decision(resolved, &mut state, decision);
        }
        ComponentPass { state, decision: None, record }
    }

    /// Sets the problem that blocks the generation.
    fn note_failure(self, resolved: &Component, state: &mut ComponentState, undecided: Option<Undecided>) {
        if undecided == Some(Undecided::InvalidSpec) {
            let sentences: Vec<String> = resolved.problems.iter().map(ToString::to_string).collect();
            state.failure = Some(Failure { reason: reason::INVALID_SPEC, message: sentences.join("; ") });
            return;
        }
        state.was_applied = was_applied(self.known, self.app.generation);
        let writes = self.view.writes.get(resolved.name.as_str());
        let of_writes = writes.and_then(|writes| writes.failure.clone());
        state.failure = state.failure.take().or(of_writes);
        if let Some(paused) = state.paused.as_ref().filter(|_| !state.was_applied) {
            let message = format!("generation {} is not applied: {paused}", self.app.generation);
            state.failure.get_or_insert(Failure { reason: reason::PAUSED, message });
        }
    }

    /// Notes the decision, and returns its record.
    fn note_decision(
        self,
        resolved: &Component,
        state: &mut ComponentState,
        decision: &ComponentDecision,
    ) -> Option<DecisionRecord> {
        let Self { known, view, input, .. } = self;
        let (name, now) = (resolved.name.as_str(), view.now);
        let known = known.and_then(|known| known.component(name));
        let memory = self.decision.memory.components.get(name);
        state.decided = true;
        state.desired = decision.desired;
        state.limited_by.clone_from(&decision.limited_by);
        let pool = input.stack.components.get(name).and_then(|declared| declared.pool.as_ref());
        state.rollout_waits_for = pool.filter(|_| decision.rollout_waits).map(|pool| pool.database.clone());
        state.rollout = decision.canary.as_ref().map(|canary| canary.status.clone());
        let overrides = input.limits.overrides.get(name);
        state.limit = limit(decision, overrides, view.observed);
        let pods = input.state.components.get(name).map_or(&[][..], |observed| &observed.pods);
        state.measured = metrics_state(resolved, view.samples, decision, pods, state.ready(), now);
        let other = other_scaler::stage(state, decision);
        state.record = news::record(state, known, decision, other.is_some(), now);
        state.dependencies.clone_from(&decision.dependencies);
        state.circuit_problems = circuit_problems(resolved, decision, view.samples, pods);
        state.memory = memory.and_then(|memory| persisted(memory, known, decision, resolved, now));
        let record = view.recording.then(|| state.record.clone()).flatten();
        other_scaler::tell_of(other, state.record.as_mut());
        record
    }
}

/// Why circuit breakers of these pods are not known, by the name of the dependency.
fn circuit_problems(
    resolved: &Component,
    decision: &ComponentDecision,
    samples: &Samples,
    pods: &[Pod],
) -> BTreeMap<String, String> {
    let unknown = decision.dependencies.iter().filter(|(_, known)| **known == DependencyState::Unknown);
    let problem = |(name, _): (&String, _)| {
        let breaker = resolved.breakers.get(name)?;
        Some((name.clone(), samples.circuit_problem(&resolved.key, breaker, pods)?))
    };
    unknown.filter_map(problem).collect()
}

/// The memory to write: with a change of replicas, with one of what holds them, and once the time that read replicas take
/// was learnt, at which their number in the status changes, too.
fn persisted(
    memory: &ComponentMemory,
    known: Option<&ComponentStatus>,
    decision: &ComponentDecision,
    resolved: &Component,
    now: Timestamp,
) -> Option<ScalingMemory> {
    let behavior = &resolved.declared.behavior;
    if let Some(change) = &decision.change {
        let mut memory = memory.clone();
        memory.record(change, behavior);
        return Some(memory.persist(now, behavior));
    }
    let known = known.and_then(|known| known.memory.as_ref());
    let holds = known.map_or(&[][..], |memory| &memory.holds);
    let seconds = known.and_then(|memory| memory.seconds_to_useful);
    let has_learnt = seconds != memory.seconds_to_useful();
    (memory.holds() != holds || has_learnt).then(|| memory.persist(now, behavior))
}

fn component_state(
    app: &App,
    resolved: &Component,
    known: Option<&ScalableAppStatus>,
    view: View<'_>,
) -> ComponentState {
    let name = resolved.name.as_str();
    let revisions = workload::revisions(view.observed, &app.uid, resolved);
    let target = resolved.declared.revision.clone();
    let (declared, others): (Vec<_>, Vec<_>) = revisions.iter().partition(|one| one.hash == target);
    let problem =
        |revisions: &[&LiveRevision]| workload::problem(revisions, view.observed.pods_of(name), view.now);
    let (problem, problem_of_others) = (problem(&declared), problem(&others));
    let is_outdated = |pod: &&Arc<CachedPod>| pod.labels.revision.as_deref() != Some(target.as_str());
    let outdated = match resolved.workload_kind() {
        Kind::StatefulSet => view.observed.pods_of(name).filter(is_outdated).count(),
        _ => 0,
    };
    let state = ComponentState {
        name: name.to_owned(),
        tier: resolved.tier,
        min: resolved.declared.min_replicas,
        is_blue_green: resolved.declared.blue_green.is_some(),
        calls_dependencies: !resolved.breakers.is_empty(),
        desired: known.and_then(|known| known.component(name)).map_or(0, |known| known.desired),
        target,
        outdated,
        problem,
        problem_of_others,
        revisions,
        ..ComponentState::default()
    };
    with_obstacle(resolved, view.observed, state)
}

fn pause(by: &ScalingOverride) -> String {
    let ScalingOverrideSpec { by: who, expires_at, reason, .. } = &by.spec;
    format!("override {} by {who} pauses the app until {}: {reason}", by.name_any(), expires_at.0)
}

/// The first limit as a sentence, with its author, end and reason, if somebody set it.
fn limit(decision: &ComponentDecision, overrides: Option<&Overrides>, observed: &Observed) -> String {
    let Some(limit) = decision.limited_by.first() else { return String::new() };
    let sentence = decision.sentence(*limit);
    let is_of_somebody = [reason::OVERRIDE, reason::HELD].contains(limit);
    let all = is_of_somebody.then(|| observed.readable_overrides()).into_iter().flatten();
    let is_named = |one: &&ScalingOverride| overrides.is_some_and(|said| said.names(&one.name_any()));
    let who = all.filter(is_named).map(|one| {
        let ScalingOverrideSpec { by, expires_at, reason, .. } = &one.spec;
        format!("{} is by {by} until {}: {reason}", one.name_any(), expires_at.0)
    });
    let who = who.collect::<Vec<_>>().join("; ");
    if who.is_empty() { sentence } else { format!("{sentence} {who}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Kind;
    use crate::{
        apply::{failing::TRIED_AGAIN_AFTER, memory::ApplyMemory, writer::WriteError},
        decide::{
            component_state::{MetricsState, OTHER_SCALER},
            news::{evidence_is_news, hold_is_news},
        },
        observe::cluster::cached::CachedWorkload,
        resolve::resolve,
    };
    use jiff::SignedDuration;
    use scalableapp_crds::Proposal;
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

    fn view<'a>(observed: &'a Observed, samples: &'a Samples) -> View<'a> {
        View { recording: true, ..View::new(observed, samples, Timestamp::UNIX_EPOCH) }
    }

    /// A pass over an app of one component: its result, and the replicas of each revision.
    fn only(
        app: &App,
        known: Option<&ScalableAppStatus>,
        view: View<'_>,
        memory: &mut DecideMemory,
    ) -> (ComponentPass, BTreeMap<String, i32>) {
        let mut pass = pass(app, known, view, memory);
        assert!(pass.recorded.is_none_or(|record| record.replays()), "its record makes the same decision");
        (pass.components.remove(0), pass.plan.replicas.remove("web").unwrap_or_default())
    }

    fn decided(known: Option<&ScalableAppStatus>) -> (ComponentPass, BTreeMap<String, i32>) {
        decided_with(known, &Observed::default())
    }

    fn decided_with(
        known: Option<&ScalableAppStatus>,
        observed: &Observed,
    ) -> (ComponentPass, BTreeMap<String, i32>) {
        only(&app(), known, view(observed, &Samples::default()), &mut DecideMemory::default())
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
        let view = view(&observed, &samples);
        let pass = pass(&app, Some(&known(4)), view, &mut DecideMemory::default());
        let passes = &pass.components;
        let failure = passes[0].state.failure.clone().expect("a failure");
        assert_eq!(failure.reason, reason::INVALID_SPEC);
        assert!(failure.message.contains("did you mean tolerations?"), "{}", failure.message);
        assert!(passes[0].decision.is_none() && !pass.plan.replicas.contains_key("web"));
        assert_eq!(passes[1].decision.as_ref().map(|decision| decision.desired), Some(3));
    }

    #[test]
    fn a_new_component_starts_with_its_minimum_replicas() {
        let (pass, planned) = decided(None);
        assert_eq!(planned, BTreeMap::from([(pass.state.target, 1)]));
    }

    #[test]
    fn metrics_of_a_component_without_a_pod_are_not_said_to_be_fresh() {
        let (observed, samples) = (Observed::default(), Samples::without_any(Timestamp::UNIX_EPOCH));
        let view = view(&observed, &samples);
        let (pass, _) = only(&app(), None, view, &mut DecideMemory::default());
        assert_eq!(
            (pass.decision.map(|decision| decision.current), pass.state.measured),
            (Some(0), MetricsState::NoPodReady)
        );
    }

    #[test]
    fn a_deployment_that_was_deleted_comes_back_with_the_last_decision() {
        let (pass, planned) = decided(Some(&known(5)));
        assert_eq!(planned, BTreeMap::from([(pass.state.target.clone(), 5)]));
        assert_eq!(pass.decision.expect("a decision").hold, Some(NO_VALID_METRIC));
    }

    #[test]
    fn a_deployment_that_came_back_and_could_not_be_scaled_yet_is_no_wish() {
        let app = app_of(&json!({"minReplicas": 5, "maxReplicas": 5}));
        let target = app.components[0].revision.to_string();
        let mut memory = DecideMemory::default();
        let mut current = |observed: &Observed| {
            let samples = Samples::default();
            let view = view(observed, &samples);
            let (pass, _) = only(&app, Some(&known(5)), view, &mut memory);
            let decision = pass.decision.expect("a decision");
            (decision.current, decision.desired)
        };
        let (none, one) = (Observed::default(), deployed("1", &[(&target, 1)]));
        assert_eq!(current(&one), (1, 5), "somebody has set one replica");
        assert_eq!((current(&none), current(&one)), ((5, 5), (5, 5)));
        let decision = decided(Some(&known(5))).0.decision.expect("a decision");
        memory.commit(&app.components[0], &decision, true);
        let (pass, _) = only(&app, Some(&known(5)), view(&one, &Samples::default()), &mut memory);
        assert_eq!(pass.decision.expect("a decision").current, 1, "they were written");
    }

    #[test]
    fn refused_replicas_are_not_decided_again_at_once() {
        let app = app_of(&json!({"minReplicas": 5, "maxReplicas": 5}));
        let (observed, samples) =
            (deployed("1", &[(&app.components[0].revision.to_string(), 3)]), Samples::default());
        let now = Timestamp::UNIX_EPOCH;
        let refused = WriteError::Refused { kind: "Deployment", message: "a policy says no".to_owned() };
        let mut written = ApplyMemory::default();
        written.failing.entry("web".to_owned()).or_default().scaled(&Err(refused), now);
        let mut memory = DecideMemory::default();
        let mut is_decided = |after: SignedDuration| {
            let writes = written.write_states(true, now + after);
            let view = View { writes: &writes, now: now + after, ..view(&observed, &samples) };
            only(&app, Some(&known(5)), view, &mut memory).0.decision.is_some()
        };
        assert!(!is_decided(SignedDuration::ZERO) && !is_decided(SignedDuration::from_secs(29)));
        assert!(is_decided(TRIED_AGAIN_AFTER));
        assert!(is_decided(-SignedDuration::from_hours(1)), "a clock that was set back holds nothing up");
    }

    #[test]
    fn a_hold_whose_reason_changes_is_recorded_again() {
        let decision = decided(Some(&known(5))).0.decision.expect("a decision");
        let mut recorded = decision.proposals.clone();
        assert!(decision.hold.is_some() && !evidence_is_news(&recorded, &decision));
        recorded[0].reason = reason::REQUEST_MISSING.name.to_owned();
        assert!(evidence_is_news(&recorded, &decision));
    }

    #[test]
    fn a_hold_that_comes_and_goes_with_the_load_is_said_once() {
        let mut decision = decided(Some(&known(5))).0.decision.expect("a decision");
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
        let deployments = Arc::new(revisions.iter().map(deployment).collect());
        Observed { workloads: BTreeMap::from([(Kind::Deployment, deployments)]), ..Observed::default() }
    }

    #[test]
    fn what_was_said_and_not_written_is_no_start_for_the_next_change() {
        let app = app_of(&json!({"minReplicas": 7, "maxReplicas": 7}));
        let observed = deployed("1", &[("old", 8), (&app.components[0].revision.to_string(), 2)]);
        let samples = Samples::default();
        let view = view(&observed, &samples);
        let mut memory = DecideMemory::default();
        let mut current = |said: i32, is_written: bool| {
            let (pass, _) = only(&app, Some(&known(said)), view, &mut memory);
            let decision = pass.decision.expect("a decision");
            if is_written {
                memory.commit(&app.components[0], &decision, true);
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
        let view = view(&observed, &samples);
        let (_, planned) = only(&app, Some(&known(8)), view, &mut DecideMemory::default());
        assert_eq!(planned.get("old"), Some(&8));
    }

    #[test]
    fn replicas_are_rolled_out_once_each_pod_has_the_declared_revision() {
        let app = resolve(
            &serde_json::from_value(json!({
                "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 1},
                "spec": {
                    "services": [{"name": "web", "image": "shop:2", "port": 80}],
                    "databases": [{"name": "main", "postgres": {
                        "primary": {"secretRef": {"name": "shop-db"}},
                        "readReplicas": {"min": 2, "max": 2, "image": "postgres:17"},
                    }}],
                },
            }))
            .expect("an app"),
        )
        .expect("no problem");
        let main = app.component("main").expect("a component");
        let owner = json!([{"apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": "shop", "uid": "1",
            "controller": true}]);
        let labels = |revision: &str| {
            json!({"scalableapp.dev/app": "shop", "scalableapp.dev/component": "main",
            "scalableapp.dev/revision": revision})
        };
        let replicas = serde_json::from_value(json!({
            "metadata": {"name": "shop-main", "labels": labels(""), "ownerReferences": owner},
            "spec": {"replicas": 2}, "status": {"replicas": 2, "readyReplicas": 2},
        }));
        let workloads =
            BTreeMap::from([(Kind::StatefulSet, Arc::new(vec![Arc::new(replicas.expect("a StatefulSet"))]))]);
        let pod = |index: usize, revision: &str| {
            let pod = serde_json::from_value(json!({
                "metadata": {"name": format!("shop-main-{index}"), "labels": labels(revision), "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "shop-main", "uid": "2", "controller": true,
                }]},
                "status": {"phase": "Running"},
            }));
            Arc::new(pod.expect("a pod"))
        };
        let is_rolled_out = |revisions: [&str; 2]| {
            let pods = revisions.iter().enumerate().map(|(index, revision)| pod(index, revision)).collect();
            let observed =
                Observed { workloads: workloads.clone(), pods: Arc::new(pods), ..Observed::default() };
            let samples = Samples::default();
            component_state(&app, main, None, view(&observed, &samples)).is_rolled_out()
        };
        let new = main.revision.as_str();
        assert_eq!([is_rolled_out([new, "old"]), is_rolled_out([new, new])], [false, true]);
    }

    #[test]
    fn what_another_app_of_the_name_left_behind_is_not_scaled() {
        let app = app_of(&json!({"minReplicas": 5, "maxReplicas": 5}));
        let (observed, samples) = (deployed("2", &[("old", 8)]), Samples::default());
        let view = view(&observed, &samples);
        let (pass, planned) = only(&app, None, view, &mut DecideMemory::default());
        assert_eq!(planned, BTreeMap::from([(pass.state.target, 5)]));
    }

    #[test]
    fn a_copy_of_a_deployment_is_no_revision() {
        let app = app_of(&json!({"minReplicas": 5, "maxReplicas": 5}));
        let target = app.components[0].revision.to_string();
        let mut observed = deployed("1", &[(&target, 5), (&target, 5)]);
        let copy = &mut Arc::make_mut(observed.workloads.get_mut(&Kind::Deployment).expect("Deployments"))[1];
        Arc::make_mut(copy).metadata.name = Some("copy".to_owned());
        let samples = Samples::default();
        let view = view(&observed, &samples);
        let (pass, _) = only(&app, Some(&known(5)), view, &mut DecideMemory::default());
        assert_eq!(pass.decision.expect("a decision").current, 5);
        assert_eq!(pass.state.revisions.len(), 1);
    }

    #[test]
    fn replicas_that_somebody_changed_are_put_right_on_record() {
        let app = app_of(&json!({"minReplicas": 5, "maxReplicas": 5}));
        let target = app.components[0].revision.to_string();
        let mut known = known(5);
        let mut record = |replicas: i32| {
            let (observed, samples) = (deployed("1", &[(&target, replicas)]), Samples::default());
            let view = view(&observed, &samples);
            let state = |known: &_| only(&app, Some(known), view, &mut DecideMemory::default()).0.state;
            known.components[0].limited_by = state(&known).limited_by_names();
            let record = state(&known).record;
            known.components[0].last_decision = record.clone().or(known.components[0].last_decision.take());
            record.map(|record| (record.from, record.to))
        };
        assert_eq!([record(5), record(5), record(3), record(3)], [Some((5, 5)), None, Some((3, 5)), None]);
    }

    #[test]
    fn somebody_elses_write_is_told_by_its_field_manager_and_not_as_a_decision() {
        let target = app().components[0].revision.to_string();
        let told = |replicas: i32| {
            let mut observed = deployed("1", &[(&target, replicas)]);
            let mut deployment = CachedWorkload::clone(&observed.workloads[&Kind::Deployment][0]);
            deployment.part.scaled_by = Some("kube-controller-manager".into());
            observed.workloads.insert(Kind::Deployment, Arc::new(vec![Arc::new(deployment)]));
            let samples = Samples::default();
            let view = view(&observed, &samples);
            let app = app_of(&json!({"minReplicas": 2, "maxReplicas": 2}));
            let (pass, _) = only(&app, Some(&known(2)), view, &mut DecideMemory::default());
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
        let target = app().components[0].revision.to_string();
        let desired = |scaled_by: Option<&str>| {
            let mut observed = deployed("1", &[(&target, 1)]);
            let mut deployment = CachedWorkload::clone(&observed.workloads[&Kind::Deployment][0]);
            deployment.part.scaled_by = scaled_by.map(Into::into);
            observed.workloads.insert(Kind::Deployment, Arc::new(vec![Arc::new(deployment)]));
            let samples = Samples::without_any(Timestamp::UNIX_EPOCH);
            let view = view(&observed, &samples);
            let (pass, _) = only(&app(), Some(&known(3)), view, &mut DecideMemory::default());
            pass.decision.expect("a decision").desired
        };
        assert_eq!((desired(None), desired(Some("kubectl"))), (1, 3));
    }

    #[test]
    fn somebody_elses_write_is_told_where_the_api_server_names_nobody() {
        let app = app_of(&json!({"minReplicas": 2, "maxReplicas": 2}));
        let target = app.components[0].revision.to_string();
        let samples = Samples::default();
        let mut memory = DecideMemory::default();
        let mut told = |replicas: i32, is_certain: bool| {
            let observed = deployed("1", &[(&target, replicas)]);
            let view = view(&observed, &samples);
            let (pass, _) = only(&app, Some(&known(2)), view, &mut memory);
            memory.commit(&app.components[0], &pass.decision.expect("a decision"), is_certain);
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
        let (pass, planned) = decided_with(Some(&known(5)), &Observed { overrides, ..Observed::default() });
        assert_eq!((pass.decision, planned.len(), pass.state.desired), (None, 0, 5));
        let said = "override shop-pause by jane pauses the app until 2026-01-01T00:00:00Z: repair";
        assert_eq!(pass.state.paused.as_deref(), Some(said));
    }
}
