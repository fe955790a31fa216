//! The conditions of an app after a pass. Pure.
//!
//! `Ready` reports whether the stack is up as declared. Metrics, load and limits have their own conditions, because a
//! GitOps tool that waits for `Ready` must not fail a release over them.

use super::joined::joined;
use crate::decide::component_state::{ComponentState, Failure, MetricsState};
use jiff::Timestamp;
use scalableapp_crds::{Condition, ConditionStatus, RolloutStatus, condition_type, set_condition};
use scalableapp_engine::bounds::circuit::DependencyState;
use scalableapp_engine::reason::{self, Reason};
use std::borrow::Cow;

/// Pods that are named.
const SHOWN_PODS: usize = 3;

/// A condition's status with its reason and its message.
pub type Verdict = (ConditionStatus, Reason, Cow<'static, str>);

/// The conditions by type, in the order of the list. If the app as a whole failed, nothing new is known of its
/// components, and their conditions stay.
pub fn verdicts(
    known: &[Condition],
    components: &[&ComponentState],
    failure: Option<&Failure>,
) -> Vec<(&'static str, Verdict)> {
    let is_set = |type_| known.iter().any(|condition| condition.type_ == type_);
    let stalled = stalled(components, failure);
    let ready = ready(components, failure);
    let reconciling = reconciling(&ready, &stalled);
    let mut verdicts = vec![
        (condition_type::READY, ready),
        (condition_type::RECONCILING, reconciling),
        (condition_type::STALLED, stalled),
    ];
    if failure.is_some() {
        return verdicts;
    }
    verdicts.push((condition_type::ROLLOUT_PROGRESSING, rollout(components)));
    let valid = valid(components);
    let decided = valid.iter().all(|state| state.is_settled());
    if decided || !is_set(condition_type::METRICS_AVAILABLE) {
        verdicts.push((condition_type::METRICS_AVAILABLE, metrics_available(&valid)));
    }
    let paused = components.iter().find_map(|state| state.paused.as_ref());
    if let Some(paused) = paused {
        verdicts.push((condition_type::SCALING_LIMITED, yes(reason::PAUSED, paused.clone())));
    } else if decided || !is_set(condition_type::SCALING_LIMITED) {
        verdicts.push((condition_type::SCALING_LIMITED, scaling_limited(&valid)));
    }
    let calls = components.iter().any(|state| state.calls_dependencies);
    let is_known = is_set(condition_type::DEPENDENCY_DEGRADED);
    if (calls || is_known) && (decided || !is_known) {
        verdicts.push((condition_type::DEPENDENCY_DEGRADED, dependency_degraded(&valid)));
    }
    verdicts
}

/// The components that are decided once they are measured: all without a mistake of their own, unless each has one.
pub fn valid<'a>(components: &[&'a ComponentState]) -> Vec<&'a ComponentState> {
    let is_valid =
        |one: &ComponentState| one.failure.as_ref().is_none_or(|it| it.reason != reason::INVALID_SPEC);
    let valid: Vec<&ComponentState> = components.iter().copied().filter(|one| is_valid(one)).collect();
    if valid.is_empty() { components.to_vec() } else { valid }
}

/// Names the children that cannot be deleted where everything else is ready.
pub fn leave(verdicts: &mut [(&'static str, Verdict)], leftover: &Failure) {
    let is_ready = |(type_, verdict): &(&str, Verdict)| {
        *type_ == condition_type::READY && verdict.0 == ConditionStatus::True
    };
    if !verdicts.iter().any(is_ready) {
        return;
    }
    for (type_, verdict) in verdicts {
        let is_passing = passes(leftover.reason);
        let says = match *type_ {
            condition_type::READY => no,
            condition_type::RECONCILING if is_passing => yes,
            condition_type::RECONCILING => no,
            condition_type::STALLED if !is_passing => yes,
            _ => continue,
        };
        *verdict = says(leftover.reason, leftover.message.clone());
    }
}

/// Adds sentences to `Ready` where everything is ready.
pub fn add(verdicts: &mut [(&'static str, Verdict)], sentences: impl Iterator<Item = String>) {
    let mut ready = verdicts.iter_mut().filter(|(type_, _)| *type_ == condition_type::READY);
    let Some((_, (ConditionStatus::True, _, message))) = ready.next() else { return };
    for sentence in sentences {
        *message = format!("{message} {sentence}").into();
    }
}

/// Sets the conditions to these results.
pub fn set(list: &mut Vec<Condition>, verdicts: &[(&'static str, Verdict)], generation: i64, now: Timestamp) {
    for (type_, (status, reason, message)) in verdicts {
        set_condition(list, type_, *status, reason.name, message, generation, now);
    }
}

/// Whether [`set`] would change nothing.
pub fn are_set(list: &[Condition], verdicts: &[(&'static str, Verdict)], generation: i64) -> bool {
    verdicts.iter().all(|(type_, (status, reason, message))| {
        list.iter().any(|condition| {
            condition.type_ == *type_ && condition.says(*status, reason.name, message, generation)
        })
    })
}

fn yes(reason: Reason, message: impl Into<Cow<'static, str>>) -> Verdict {
    (ConditionStatus::True, reason, message.into())
}

fn no(reason: Reason, message: impl Into<Cow<'static, str>>) -> Verdict {
    (ConditionStatus::False, reason, message.into())
}

fn of(state: &ComponentState, failure: &Failure) -> String {
    format!("{}: {}", state.name, failure.message)
}

fn ready(components: &[&ComponentState], failure: Option<&Failure>) -> Verdict {
    if let Some(failure) = failure {
        return no(failure.reason, failure.message.clone());
    }
    if let Some((reason, message)) = failures(components, |_| true) {
        return no(reason, message);
    }
    for state in components {
        // A problem of an older revision does not block a rollout.
        let older = state.problem_of_others.as_ref().filter(|_| !state.is_up());
        let problem = state.problem.as_ref().or(older);
        if let Some(problem) = problem.filter(|_| !state.is_up() || !state.is_rolled_out()) {
            return no(problem.reason, of(state, problem));
        }
        if !state.is_up() {
            let (ready, min, name) = (state.serving(), state.min, &state.name);
            return no(reason::PODS_NOT_READY, format!("{name}: {ready} of at least {min} pods are ready"));
        }
        if !state.is_rolled_out() {
            let (reason, words) = rolling_out(state);
            return no(reason, words);
        }
    }
    let of_route = |state: &&ComponentState| Some((state.route.clone()?, state.name.clone()));
    if let Some((problem, name)) = components.iter().find_map(of_route) {
        return no(problem.reason, format!("{name}: {}", problem.message));
    }
    yes(reason::UP_AS_DECLARED, reason::UP_AS_DECLARED.sentence)
}

/// Why a component does not run its declared revision alone yet.
fn rolling_out(state: &ComponentState) -> (Reason, String) {
    let ComponentState { name, target, .. } = state;
    if let Some(rollout) = state.aborted() {
        return (abortion(state), aborted(state, rollout));
    }
    if state.is_blue_green && state.rollout.is_some() {
        return switching(state);
    }
    if let Some(rollout) = state.canary() {
        let RolloutStatus { canary, step, steps, weight, message, .. } = rollout;
        let words = format!(
            "{name}: revision {canary} is at step {step} of {steps}, with a weight of {weight}%. {message}"
        );
        return (reason::CANARY_PROGRESSING, words);
    }
    if let Some(route) = &state.waits_for_gateway {
        let words = format!(
            "{name}: revision {target} waits, because a gateway does not follow HTTPRoute {route}: pods that it may still send requests to stay"
        );
        return (reason::GATEWAY_BEHIND, words);
    }
    match &state.rollout_waits_for {
        None => (reason::ROLLING_OUT, format!("{name}: revision {target} is taking over")),
        Some(database) => {
            let words = format!(
                "{name}: revision {target} waits, because database {database} has no connections for a pod beside the only old one: use smaller pools, raise maxConnections, or set rollout.rolling.maxUnavailable to 1"
            );
            (reason::CONNECTION_BUDGET, words)
        }
    }
}

/// The same for a blue-green rollout that was not aborted.
fn switching(state: &ComponentState) -> (Reason, String) {
    let ComponentState { name, target, .. } = state;
    let message = state.rollout.as_ref().map(|rollout| rollout.message.as_str()).unwrap_or_default();
    let Some(RolloutStatus { canary, step, steps, .. }) = state.canary() else {
        let words = format!("{name}: revision {target} is taking over. {message}");
        return (reason::ROLLING_OUT, words.trim_end().to_owned());
    };
    let room = state.rollout_waits_for.as_ref().map(|database| {
        format!(
            " Database {database} has no connections for its pods: use smaller pools, or raise maxConnections."
        )
    });
    let words = format!(
        "{name}: revision {canary} is at step {step} of {steps} of its blue-green rollout. {message}{}",
        room.unwrap_or_default()
    );
    (reason::BLUE_GREEN_PROGRESSING, words)
}

fn stalled(components: &[&ComponentState], failure: Option<&Failure>) -> Verdict {
    if let Some(failure) = failure.filter(|failure| !passes(failure.reason)) {
        return yes(failure.reason, failure.message.clone());
    }
    if let Some((reason, message)) = failures(components, |failure| !passes(failure.reason)) {
        return yes(reason, message);
    }
    for state in components {
        if let Some(rollout) = state.aborted() {
            return yes(abortion(state), aborted(state, rollout));
        }
        if state.gave_up() && !(state.is_up() && state.is_rolled_out()) {
            let words = state
                .problem
                .as_ref()
                .map_or(reason::PROGRESS_DEADLINE_EXCEEDED.sentence, |problem| problem.message.as_str());
            return yes(reason::PROGRESS_DEADLINE_EXCEEDED, format!("{}: {words}", state.name));
        }
    }
    no(reason::NOT_STALLED, reason::NOT_STALLED.sentence)
}

/// The failures of all components in one message, with the reason of the first.
fn failures(components: &[&ComponentState], is_told: impl Fn(&Failure) -> bool) -> Option<(Reason, String)> {
    let failures = components.iter().flat_map(|state| {
        let of_route = state.route.as_ref().filter(|problem| !passes(problem.reason));
        state.failure.iter().chain(of_route).map(move |failure| (state, failure))
    });
    let told: Vec<_> = failures.filter(|(_, failure)| is_told(failure)).collect();
    let (_, first) = told.first()?;
    let sentences: Vec<String> = told.iter().map(|(state, failure)| of(state, failure)).collect();
    Some((first.reason, joined(&sentences)))
}

/// Whether a failure may end without a change by a user.
fn passes(reason: Reason) -> bool {
    [reason::CHILD_NOT_WRITTEN, reason::PAUSED, reason::DELETING, reason::ROUTE_PENDING].contains(&reason)
}

fn reconciling(ready: &Verdict, stalled: &Verdict) -> Verdict {
    let (_, reason, message) = ready.clone();
    match (ready.0, stalled.0) {
        (ConditionStatus::True, _) => no(reason::CONVERGED, reason::CONVERGED.sentence),
        // Nothing is in progress, and yet not everything is done.
        (_, ConditionStatus::True) => no(stalled.1, stalled.2.clone()),
        _ => yes(reason, message),
    }
}

fn metrics_available(components: &[&ComponentState]) -> Verdict {
    let missing = |state: &&ComponentState| match &state.measured {
        MetricsState::Missing(failure) => Some((failure.reason, of(state, failure))),
        _ => None,
    };
    let missing: Vec<(Reason, String)> = components.iter().filter_map(missing).collect();
    if let Some((reason, _)) = missing.first() {
        let sentences: Vec<String> = missing.iter().map(|(_, sentence)| sentence.clone()).collect();
        return no(*reason, joined(&sentences));
    }
    for state in components {
        let name = &state.name;
        let (reason, words) = match &state.measured {
            MetricsState::NotYet => (reason::NOT_MEASURED_YET, reason::NOT_MEASURED_YET.sentence.into()),
            MetricsState::NoPodReady => {
                let words = format!("{name}: no pod is ready, so nothing can be measured yet");
                (reason::PODS_NOT_READY, words.into())
            }
            MetricsState::NotAsked | MetricsState::Fresh | MetricsState::Missing(_) => continue,
        };
        return (ConditionStatus::Unknown, reason, words);
    }
    if components.iter().all(|state| state.measured == MetricsState::NotAsked) {
        return yes(reason::NO_METRICS, reason::NO_METRICS.sentence);
    }
    yes(reason::ALL_METRICS_FRESH, reason::ALL_METRICS_FRESH.sentence)
}

fn scaling_limited(components: &[&ComponentState]) -> Verdict {
    for state in components {
        if let Some(shortage) = state.shortage() {
            return yes(shortage.reason, of(state, &shortage));
        }
    }
    for state in components {
        if let Some(limit) = state.limited_by.first() {
            return yes(*limit, format!("{}: {}", state.name, state.limit));
        }
    }
    no(reason::WITHIN_LIMITS, reason::WITHIN_LIMITS.sentence)
}

/// Every dependency with open breakers and who sees them; otherwise the first that is not known, or that a few pods see
/// open.
fn dependency_degraded(components: &[&ComponentState]) -> Verdict {
    let all = || {
        let of = |state: &&ComponentState| {
            let name = state.name.clone();
            let dependencies = state.dependencies.clone().into_iter();
            dependencies.map(move |(dependency, known)| (name.clone(), dependency, known))
        };
        components.iter().flat_map(of)
    };
    let degraded: Vec<String> = all()
        .filter_map(|(component, dependency, known)| match known {
            DependencyState::Degraded { since, open, of } => Some(format!(
                "{dependency}: the circuit breakers of {component} are open or half-open since {since}, on up to {open} of {of} pods"
            )),
            _ => None,
        })
        .collect();
    if !degraded.is_empty() {
        return yes(reason::DEPENDENCY_DEGRADED, joined(&degraded));
    }
    let unknown = all().find(|(_, _, known)| *known == DependencyState::Unknown);
    if let Some((component, dependency, _)) = unknown {
        let state = components.iter().find(|state| state.name == component);
        let why = state.and_then(|state| state.circuit_problems.get(&dependency)).cloned();
        let why = why.unwrap_or_else(|| {
            format!("too few pods of {component} report the state of its circuit breaker")
        });
        let words = format!("{dependency}: {why}; nothing of {component} scales in");
        return (ConditionStatus::Unknown, reason::CIRCUIT_UNKNOWN, words.into());
    }
    let of_some = all().find_map(|(component, dependency, known)| match known {
        DependencyState::OpenOnSomePods(pods) => Some((component, dependency, pods)),
        _ => None,
    });
    if let Some((component, dependency, pods)) = of_some {
        let more = if pods.len() > SHOWN_PODS { ", and others" } else { "" };
        let named: Vec<&str> = pods.iter().take(SHOWN_PODS).map(String::as_str).collect();
        let words = format!(
            "{dependency}: only these pods of {component} have an open circuit breaker: {}{more}",
            named.join(", ")
        );
        return no(reason::CIRCUIT_OPEN_ON_SOME_PODS, words);
    }
    let is_new = |state: &&&ComponentState| {
        state.calls_dependencies
            && state.desired > 0
            && state.dependencies.values().all(|known| *known == DependencyState::NotYet)
    };
    if let Some(state) = components.iter().find(is_new) {
        let words =
            format!("{}: no pod has been ready for long enough to report its circuit breakers", state.name);
        return (ConditionStatus::Unknown, reason::NOT_MEASURED_YET, words.into());
    }
    no(reason::DEPENDENCIES_WELL, reason::DEPENDENCIES_WELL.sentence)
}

fn abortion(state: &ComponentState) -> Reason {
    if state.is_blue_green { reason::BLUE_GREEN_ABORTED } else { reason::CANARY_ABORTED }
}

/// The words for a new revision that was aborted.
fn aborted(state: &ComponentState, rollout: &RolloutStatus) -> String {
    format!("{}: revision {} was aborted. {}", state.name, rollout.canary, rollout.message)
}

fn rollout(components: &[&ComponentState]) -> Verdict {
    if let Some((state, rollout)) = components.iter().find_map(|state| Some((state, state.aborted()?))) {
        return no(abortion(state), aborted(state, rollout));
    }
    let unfinished = || components.iter().filter(|state| !state.is_rolled_out());
    let is_blocked = |state: &&&ComponentState| {
        let is_live = state.revisions.iter().any(|revision| revision.hash == state.target);
        !is_live && (state.failure.is_some() || state.paused.is_some())
    };
    if let Some(state) = unfinished().find(|state| !is_blocked(state)) {
        let (reason, words) = rolling_out(state);
        return yes(reason, words);
    }
    match unfinished().next() {
        Some(state) => {
            let reason = state.failure.as_ref().map_or(reason::PAUSED, |failure| failure.reason);
            no(reason, format!("{}: revision {} is not created; see Ready", state.name, state.target))
        }
        None => no(reason::ROLLED_OUT, reason::ROLLED_OUT.sentence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Kind;
    use crate::observe::cluster::workload::LiveRevision;
    use std::sync::Arc;

    fn revision(hash: &str, ready: i32) -> LiveRevision {
        LiveRevision {
            hash: hash.into(),
            kind: Kind::Deployment,
            workload: Arc::default(),
            replicas: ready,
            pods: ready,
            ready,
            refusal: None,
        }
    }

    fn web(ready: i32) -> ComponentState {
        ComponentState {
            name: "web".into(),
            min: 2,
            decided: true,
            desired: 2,
            target: "new".into(),
            revisions: vec![revision("new", ready)],
            measured: MetricsState::Fresh,
            ..ComponentState::default()
        }
    }

    fn failure(reason: Reason) -> Failure {
        Failure { reason, message: "why".into() }
    }

    fn said(
        components: &[ComponentState],
        failure: Option<&Failure>,
        type_: &str,
    ) -> (ConditionStatus, String, String) {
        let mut list = Vec::new();
        let components: Vec<&ComponentState> = components.iter().collect();
        set(&mut list, &verdicts(&[], &components, failure), 1, Timestamp::UNIX_EPOCH);
        let condition =
            list.into_iter().find(|condition| condition.type_ == type_).expect("every condition is set");
        (condition.status, condition.reason, condition.message)
    }

    fn says(components: &[ComponentState], type_: &str) -> (ConditionStatus, String) {
        let (status, reason, _) = said(components, None, type_);
        (status, reason)
    }

    #[test]
    fn ready_never_depends_on_metrics_or_limits() {
        let mut state = web(2);
        state.measured = MetricsState::Missing(failure(reason::METRIC_ABSENT));
        state.limited_by = vec![reason::MAX_REPLICAS];
        state.desired = 40;
        assert_eq!(says(&[state.clone()], "Ready"), (ConditionStatus::True, "UpAsDeclared".into()));
        assert_eq!(
            says(&[state.clone()], "MetricsAvailable"),
            (ConditionStatus::False, "MetricAbsent".into())
        );
        assert_eq!(says(&[state], "ScalingLimited"), (ConditionStatus::True, "MaxReplicas".into()));
    }

    fn calling(dependencies: &[(&str, DependencyState)]) -> ComponentState {
        let dependencies = dependencies.iter().map(|(name, known)| ((*name).to_owned(), known.clone()));
        ComponentState { calls_dependencies: true, dependencies: dependencies.collect(), ..web(2) }
    }

    #[test]
    fn an_open_breaker_is_named_and_ready_does_not_depend_on_it() {
        let open = DependencyState::Degraded { since: Timestamp::UNIX_EPOCH, open: 2, of: 3 };
        let state = calling(&[("payments", open), ("stock", DependencyState::Unknown)]);
        let (status, reason, message) = said(std::slice::from_ref(&state), None, "DependencyDegraded");
        assert_eq!((status, reason.as_str()), (ConditionStatus::True, "DependencyDegraded"));
        let expected = "payments: the circuit breakers of web are open or half-open since 1970-01-01T00:00:00Z, \
                        on up to 2 of 3 pods";
        assert_eq!(message, expected);
        assert_eq!(says(&[state], "Ready"), (ConditionStatus::True, "UpAsDeclared".into()));
    }

    #[test]
    fn a_dependency_of_which_nothing_is_known_is_not_said_to_be_well() {
        let says = |known| says(&[calling(&[("payments", known)])], "DependencyDegraded");
        let unknown = (ConditionStatus::Unknown, "CircuitUnknown".into());
        assert_eq!(says(DependencyState::Unknown), unknown);
        assert_eq!(says(DependencyState::NotYet), (ConditionStatus::Unknown, "NotMeasuredYet".into()));
        assert_eq!(says(DependencyState::Well), (ConditionStatus::False, "DependenciesWell".into()));
        let pods = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let some = said(
            &[calling(&[("payments", DependencyState::OpenOnSomePods(pods))])],
            None,
            "DependencyDegraded",
        );
        let words = "payments: only these pods of web have an open circuit breaker: a, b, c, and others";
        assert_eq!(some, (ConditionStatus::False, "CircuitOpenOnSomePods".into(), words.into()));
    }

    #[test]
    fn a_query_that_does_not_tell_the_state_of_breakers_is_named() {
        let mut state = calling(&[("payments", DependencyState::Unknown)]);
        state.circuit_problems = [("payments".to_owned(), "the query returned no series".to_owned())].into();
        let (status, reason, message) = said(&[state], None, "DependencyDegraded");
        assert_eq!((status, reason.as_str()), (ConditionStatus::Unknown, "CircuitUnknown"));
        assert_eq!(message, "payments: the query returned no series; nothing of web scales in");
    }

    #[test]
    fn an_app_without_dependencies_has_no_condition_for_them() {
        let state = web(2);
        let verdicts = verdicts(&[], &[&state], None);
        assert!(verdicts.iter().all(|(type_, _)| *type_ != condition_type::DEPENDENCY_DEGRADED));
    }

    #[test]
    fn too_few_ready_pods_are_not_ready_and_the_cause_is_named() {
        let mut state = web(1);
        assert_eq!(says(&[state.clone()], "Ready"), (ConditionStatus::False, "PodsNotReady".into()));
        state.problem = Some(failure(reason::IMAGE_PULL_FAILED));
        assert_eq!(says(&[state.clone()], "Ready"), (ConditionStatus::False, "ImagePullFailed".into()));
        assert_eq!(says(&[state], "Reconciling"), (ConditionStatus::True, "ImagePullFailed".into()));
    }

    #[test]
    fn a_stack_that_is_up_stays_ready_while_an_extra_pod_is_refused() {
        let mut state = web(2);
        state.desired = 5;
        state.problem = Some(failure(reason::PODS_REFUSED));
        assert_eq!(says(&[state], "Ready"), (ConditionStatus::True, "UpAsDeclared".into()));
    }

    #[test]
    fn replicas_that_do_not_come_above_the_minimum_limit_scaling_and_are_named_before_its_limits() {
        let mut state = web(2);
        (state.desired, state.limited_by) = (5, vec![reason::MAX_REPLICAS]);
        state.problem = Some(failure(reason::PODS_REFUSED));
        let (status, reason, message) = said(std::slice::from_ref(&state), None, "ScalingLimited");
        assert_eq!((status, reason.as_str()), (ConditionStatus::True, "PodsRefused"));
        assert_eq!(message, "web: 2 of 5 replicas are ready: why");
        state.desired = 2;
        assert_eq!(says(&[state], "ScalingLimited").1, "MaxReplicas", "every replica is there");
    }

    #[test]
    fn what_is_wrong_with_an_older_revision_is_not_told_of_the_new() {
        let mut state = web(2);
        state.revisions.push(revision("old", 0));
        state.revisions[1].pods = 1;
        state.problem_of_others = Some(failure(reason::CONTAINER_CRASHES));
        assert_eq!(says(&[state.clone()], "Ready"), (ConditionStatus::False, "RollingOut".into()));
        state.revisions[0].ready = 1;
        assert_eq!(says(&[state.clone()], "Ready"), (ConditionStatus::False, "ContainerCrashes".into()));
        state.problem = Some(failure(reason::PROBE_FAILS));
        assert_eq!(says(&[state], "Ready"), (ConditionStatus::False, "ProbeFails".into()));
    }

    #[test]
    fn metrics_of_a_component_without_a_ready_pod_are_not_said_to_be_unasked() {
        let mut state = web(0);
        state.measured = MetricsState::NoPodReady;
        let (status, reason, message) = said(std::slice::from_ref(&state), None, "MetricsAvailable");
        assert_eq!((status, reason.as_str()), (ConditionStatus::Unknown, "PodsNotReady"));
        assert_eq!(message, "web: no pod is ready, so nothing can be measured yet");
        let missing =
            ComponentState { measured: MetricsState::Missing(failure(reason::METRIC_STALE)), ..web(2) };
        assert_eq!(
            says(&[state, missing], "MetricsAvailable"),
            (ConditionStatus::False, "MetricStale".into())
        );
    }

    #[test]
    fn what_was_said_of_scaling_stands_until_the_next_decision() {
        let mut limited = web(2);
        limited.limited_by = vec![reason::MAX_REPLICAS];
        let mut list = Vec::new();
        set(&mut list, &verdicts(&[], &[&limited], None), 1, Timestamp::UNIX_EPOCH);
        let undecided = ComponentState { decided: false, measured: MetricsState::NotYet, ..web(2) };
        assert!(are_set(&list, &verdicts(&list, &[&undecided], None), 1));
    }

    #[test]
    fn a_mistake_in_one_component_keeps_nothing_from_being_said_of_the_others() {
        let invalid = ComponentState {
            decided: false,
            measured: MetricsState::NotYet,
            failure: Some(failure(reason::INVALID_SPEC)),
            ..web(2)
        };
        let mut list = Vec::new();
        set(&mut list, &verdicts(&[], &[&invalid, &web(2)], None), 1, Timestamp::UNIX_EPOCH);
        let mut limited = web(2);
        limited.limited_by = vec![reason::MAX_REPLICAS];
        limited.measured = MetricsState::Missing(failure(reason::METRIC_ABSENT));
        let verdicts = verdicts(&list, &[&invalid, &limited], None);
        set(&mut list, &verdicts, 1, Timestamp::UNIX_EPOCH);
        let reason = |type_: &str| list.iter().find(|one| one.type_ == type_).map(|one| one.reason.as_str());
        assert_eq!(reason("MetricsAvailable"), Some("MetricAbsent"));
        assert_eq!(reason("ScalingLimited"), Some("MaxReplicas"));
        assert_eq!(reason("Ready"), Some("InvalidSpec"));
    }

    #[test]
    fn a_pause_is_said_and_takes_nothing_from_ready() {
        let paused = ComponentState { decided: false, paused: Some("jane".into()), ..web(2) };
        let (status, reason, message) = said(std::slice::from_ref(&paused), None, "ScalingLimited");
        assert_eq!((status, reason.as_str(), message.as_str()), (ConditionStatus::True, "Paused", "jane"));
        assert_eq!(says(&[paused], "Ready"), (ConditionStatus::True, "UpAsDeclared".into()));
    }

    #[test]
    fn two_live_revisions_are_a_rollout() {
        let mut state = web(2);
        state.revisions.push(revision("old", 1));
        assert_eq!(says(&[state.clone()], "Ready"), (ConditionStatus::False, "RollingOut".into()));
        assert_eq!(
            says(&[state.clone()], "RolloutProgressing"),
            (ConditionStatus::True, "RollingOut".into())
        );
        state.rollout_waits_for = Some("main".into());
        assert_eq!(says(&[state], "RolloutProgressing"), (ConditionStatus::True, "ConnectionBudget".into()));
    }

    #[test]
    fn a_revision_that_cannot_be_created_is_not_taking_over() {
        let mut blocked = web(2);
        blocked.target = "newer".into();
        assert_eq!(
            says(&[blocked.clone()], "RolloutProgressing").1,
            "RollingOut",
            "it is about to be created"
        );
        for reason in [reason::INVALID_SPEC, reason::CHILD_REFUSED, reason::NAME_TAKEN] {
            blocked.failure = Some(failure(reason));
            let (status, said) = says(&[blocked.clone()], "RolloutProgressing");
            assert_eq!((status, said.as_str()), (ConditionStatus::False, reason.name));
        }
        let mut progressing = web(2);
        progressing.revisions.push(revision("old", 1));
        assert_eq!(says(&[blocked, progressing], "RolloutProgressing").1, "RollingOut", "another one is");
        let paused = ComponentState { target: "newer".into(), paused: Some("jane".into()), ..web(2) };
        assert_eq!(says(&[paused], "RolloutProgressing"), (ConditionStatus::False, "Paused".into()));
    }

    #[test]
    fn metrics_that_are_missing_are_named_for_every_component() {
        let lacking = |name: &str| ComponentState {
            name: name.into(),
            measured: MetricsState::Missing(Failure {
                reason: reason::METRIC_ABSENT,
                message: "rps: why".into(),
            }),
            ..web(2)
        };
        let (_, _, message) = said(&[lacking("web"), web(2), lacking("api")], None, "MetricsAvailable");
        assert_eq!(message, "web: rps: why; api: rps: why");
    }

    #[test]
    fn an_app_that_is_being_deleted_is_no_longer_ready_and_needs_nobody() {
        let deleting = failure(reason::DELETING);
        for (type_, status) in [
            ("Ready", ConditionStatus::False),
            ("Stalled", ConditionStatus::False),
            ("Reconciling", ConditionStatus::True),
        ] {
            assert_eq!(said(&[], Some(&deleting), type_).0, status, "{type_}");
        }
    }

    #[test]
    fn a_spec_that_cannot_be_done_stalls() {
        let invalid = failure(reason::INVALID_SPEC);
        for (type_, status) in [
            ("Ready", ConditionStatus::False),
            ("Stalled", ConditionStatus::True),
            ("Reconciling", ConditionStatus::False),
        ] {
            let (said, reason, _) = said(&[], Some(&invalid), type_);
            assert_eq!((said, reason.as_str()), (status, "InvalidSpec"), "{type_}");
        }
    }
}
