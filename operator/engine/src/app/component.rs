//! The stages that look at one component: propose, bound, stabilize. Pure.

use crate::allot::turns::is_settled;
use crate::app::circuits::Circuits;
use crate::app::decision::ComponentDecision;
use crate::app::ejection::Ejected;
use crate::app::explain;
use crate::app::limits;
use crate::app::recommendation::{Recommendation, is_latency};
use crate::app::subject::Subject;
use crate::bounds::circuit::{self, DependencyState};
use crate::bounds::diagnosis::{self, Waiting};
use crate::bounds::evicting;
use crate::bounds::fallback;
use crate::bounds::incomplete_window;
use crate::bounds::last_decision;
use crate::bounds::schedule;
use crate::bounds::throughput;
use crate::bounds::ungranted;
use crate::bounds::{Bound, Bounds};
use crate::forecast::{ForecastResult, forecast};
use crate::hpa::history::History;
use crate::hpa::normalize::{Limitation, Normalized, Stabilization};
use crate::hpa::range::Range;
use crate::hpa::scale::{Normalization, Outcome, Scaling, Step, step};
use crate::memory::{ComponentMemory, MemoryChange, ScaleChange};
use crate::propose::evaluate::{Invalid, Signal, evaluate};
use crate::propose::latency::LatencyStep;
use crate::propose::time_to_useful::TimeToUseful;
use crate::reason::{self, Reason};
use crate::rollout::Room;
use crate::stack::Workload;
use std::collections::BTreeMap;

/// A component after PROPOSE.
pub(crate) struct Proposed<'a> {
    pub(crate) subject: Subject<'a>,
    pub(crate) memory: ComponentMemory,
    /// Minimum and maximum of spec, schedules and overrides, whatever the metrics recommend.
    pub(crate) declared: Bounds,
    /// Result of the metrics; `None` where the component has no replicas yet. It then starts with its minimum replicas,
    /// or with those of the last decision.
    pub(crate) measured: Option<MetricResults<'a>>,
}

/// Result of a component's metrics.
pub(crate) struct MetricResults<'a> {
    pub(crate) signals: Vec<Signal<'a>>,
    pub(crate) forecast: ForecastResult,
}

/// A component after BOUND.
pub(crate) struct Bounded<'a> {
    pub(crate) proposed: Proposed<'a>,
    /// The declared bounds, an override that holds replicas included.
    held: Bounds,
    /// The final bounds. ALLOT may lower the maximum, and hold the replicas.
    pub(crate) bounds: Bounds,
    /// What is known of its dependencies.
    dependencies: BTreeMap<String, DependencyState>,
    /// Pods that ALLOT admits; `None` without a limit.
    pub(crate) room: Option<Room>,
    /// The shared connections in words; empty without a budget.
    pub(crate) connections: String,
}

impl Bounded<'_> {
    /// Replicas that the metrics and the minimum ask for within the bounds, at least the current ones.
    pub(crate) fn wanted(&self) -> i32 {
        let (range, current) = (self.bounds.range(), self.proposed.subject.current_replicas);
        let recommended = self.proposed.measured.as_ref().map_or(Some(range.min), |measured| {
            Recommendation::of(&measured.signals, current, range.min).replicas
        });
        recommended.unwrap_or(current).clamp(range.min, range.max).max(current)
    }
}

/// PROPOSE: the proposal of each metric, and the forecast.
///
/// Zero replicas never mean "paused", as they do for HPA. A component without replicas, because it was just created or
/// somebody set it so, gets its minimum replicas, or those of the last decision. Where `minReplicas` is 0, the metrics
/// decide.
pub(crate) fn propose<'a>(subject: Subject<'a>, mut memory: ComponentMemory) -> Proposed<'a> {
    let scaling = &mut memory.scaling;
    scaling.forget_undeclared(subject.declared.metrics());
    if matches!(subject.declared.workload, Workload::ReadReplicas(_)) {
        scaling.useful.observe(subject.now, is_settled(subject.observed));
    } else {
        scaling.useful = TimeToUseful::default();
    }
    let declared = declared_bounds(&subject);
    let least = declared.range().min;
    if subject.current_replicas == 0 && least > 0 && subject.declared.min_replicas > 0 {
        return Proposed { subject, memory, declared, measured: None };
    }
    let signals = evaluate(&subject, least, &mut scaling.signals);
    let forecast = forecast(&subject, &signals, &mut scaling.forecasts);
    Proposed { subject, memory, declared, measured: Some(MetricResults { signals, forecast }) }
}

/// BOUND: minimum and maximum replicas, with their sources.
pub(crate) fn bound<'a>(
    mut proposed: Proposed<'a>,
    circuits: &Circuits<'_>,
    waiting: &Waiting<'_>,
) -> Bounded<'a> {
    let Proposed { subject, memory, declared, measured } = &mut proposed;
    let scaling = &mut memory.scaling;
    let Some(MetricResults { signals, forecast }) = measured else {
        let decided = last_decision::floor(subject, declared.range().max);
        let bounds = Bounds { floor: declared.floor.clone().or_higher(decided), ..declared.clone() };
        let dependencies = circuit::dependencies(subject, circuits, &scaling.circuits);
        let held = declared.clone();
        return Bounded { held, bounds, dependencies, proposed, room: None, connections: String::new() };
    };
    let fallback =
        fallback::floor(subject.declared.fallback, signals, &mut scaling.missing_since, subject.now);
    let incomplete = incomplete_window::floor(subject, signals);
    let is_blind = incomplete.is_some() || signals.iter().any(|signal| signal.result.invalid().is_some());
    scaling.history.note_evidence(subject.now, is_blind);
    let replicas = subject.decided_replicas.unwrap_or(subject.current_replicas);
    let held = subject.overrides.held(declared.clone(), replicas);
    let decided = last_decision::floor(subject, held.range().max).filter(|_| is_blind);
    let circuit = circuit::floor(subject, circuits, &mut scaling.circuits, held.range().max);
    let floors =
        circuit.into_iter().chain(forecast.floor.take()).chain(fallback).chain(incomplete).chain(decided);
    let floors = floors.chain(evicting::floor(subject, signals));
    let floor = floors.fold(held.floor.clone(), |floor, other| floor.or_higher(Some(other)));
    let stalled = throughput::ceiling(subject, signals, floor.replicas, &held.ceiling);
    let ceiling = stalled.unwrap_or_else(|| held.ceiling.clone());
    let circuit = circuit::ceiling(subject, signals, &scaling.circuits, floor.replicas);
    let granted = ungranted::ceiling(subject, &mut scaling.tries, held.range().min);
    let ceiling = ceiling.or_lower(granted).or_lower(circuit);
    let ceiling = ceiling.or_lower(diagnosis::ceiling(subject, signals, waiting, floor.replicas));
    let dependencies = circuit::dependencies(subject, circuits, &scaling.circuits);
    let bounds = Bounds { floor, ceiling };
    Bounded { held, bounds, dependencies, proposed, room: None, connections: String::new() }
}

impl Bounded<'_> {
    /// The replicas that STABILIZE will decide if nothing changes any more; `None` for the first replicas.
    pub(crate) fn next_replicas(&self) -> Option<i32> {
        let Proposed { subject, memory, measured, .. } = &self.proposed;
        let signals = &measured.as_ref()?.signals;
        let recommendation = Recommendation::of(signals, subject.current_replicas, self.bounds.range().min);
        let mut history = memory.scaling.history.clone();
        Some(next(subject, &self.held, &self.bounds, &mut history, recommendation.replicas).desired)
    }

    /// The replicas that stay if load changes nothing: those of the last decision within the declared bounds.
    pub(crate) fn kept_replicas(&self) -> i32 {
        let subject = &self.proposed.subject;
        let Range { min, max } = self.held.range();
        subject.decided_replicas.unwrap_or(subject.current_replicas).clamp(min, max)
    }

    /// Keeps these replicas.
    pub(crate) fn hold(&mut self, replicas: i32, reason: Reason, by: String) {
        let bound = Bound::new(replicas, reason, by);
        let Bounds { floor, ceiling } = self.bounds.clone();
        let (floor, ceiling) = (floor.or_higher(Some(bound.clone())), ceiling.or_lower(Some(bound)));
        self.bounds = Bounds { floor, ceiling };
    }
}

/// STABILIZE: one step of HPA's behavior within the bounds, and its explanation.
pub(crate) fn stabilize(bounded: Bounded<'_>) -> (ComponentDecision, ComponentMemory) {
    let Bounded { proposed, held, bounds, dependencies, connections, room: _ } = bounded;
    let Proposed { subject, mut memory, measured, .. } = proposed;
    let Some(MetricResults { signals, forecast }) = measured else {
        let first = first_replicas(&subject, bounds, &mut memory);
        let mut decision = ComponentDecision { dependencies, ..first };
        decision.stages.extend(explain::shared(&connections));
        return (decision, memory);
    };
    let scaling = &mut memory.scaling;
    let current = subject.current_replicas;
    let recommendation = Recommendation::of(&signals, current, bounds.range().min);
    let step = next(&subject, &held, &bounds, &mut scaling.history, recommendation.replicas);

    let min_replicas = subject.declared.min_replicas;
    let without_bounds = if signals.is_empty() { Some(min_replicas) } else { recommendation.replicas };
    let binding = limits::binding(&step, &bounds, without_bounds);
    let is_held = step.outcome == Outcome::NoValidMetric && binding.is_empty();
    let hold = is_held.then_some(match recommendation.largest {
        None => reason::NO_VALID_METRIC,
        Some(_) => reason::SCALE_IN_NEEDS_ALL_METRICS,
    });
    let replicas_stay = step.desired == current;
    let may_be_named = |limit| {
        replicas_stay
            && limits::may_still_be_named(limit, &bounds, step.desired, recommendation.largest.is_none())
    };
    let limited_by = scaling.limits.named(subject.now, binding, may_be_named);
    let why_they_stay = hold.or_else(|| limited_by.first().copied()).filter(|_| replicas_stay);
    let decision = ComponentDecision {
        current,
        previous: subject.decided_replicas,
        desired: step.desired,
        reason: why_they_stay.unwrap_or_else(|| {
            recommendation.precisely(cause(&step.outcome, &bounds, recommendation.is_fixed), step.desired)
        }),
        limited_by,
        hold,
        invalid: invalid(&signals),
        proposals: explain::proposals(&signals, &scaling.signals, subject.now),
        stages: explain::stages(&subject, &signals, &recommendation, forecast.effect, &bounds, &step)
            .into_iter()
            .chain(explain::shared(&connections))
            .collect(),
        change: change(&subject, &signals, &recommendation, &step),
        dependencies,
        ejected: Ejected::default(),
        rollout_waits: false,
        canary: None,
        memory: signals
            .iter()
            .find_map(|signal| signal.memory)
            .map(|bytes| MemoryChange { at: subject.now, bytes }),
        bounds,
    };
    (decision, memory)
}

/// The step within the bounds.
fn next(
    subject: &Subject<'_>,
    held: &Bounds,
    bounds: &Bounds,
    history: &mut History,
    recommended: Option<i32>,
) -> Step {
    let range = bounds.range();
    // A ceiling that ALLOT lowered counts here, too.
    let unraised = Range { min: held.range().min.min(range.max), max: range.max };
    raised(subject, unraised, range, history, recommended)
}

/// One step in a range whose minimum a forecast or a fallback may have raised. Below the minimum HPA scales to exactly
/// the minimum. Here the metrics may get more at once, or the raised minimum would delay them. The same holds for any
/// minimum of a component without replicas, which HPA would leave paused.
fn raised(
    subject: &Subject<'_>,
    declared: Range,
    range: Range,
    history: &mut History,
    recommended: Option<i32>,
) -> Step {
    let current = subject.current_replicas;
    let declared = if current == 0 { Range { min: 0, ..declared } } else { declared };
    let is_raised = (declared.min..range.min).contains(&current);
    let normalization = Normalization::Behavior(&subject.declared.behavior);
    let scaling = Scaling { range: if is_raised { declared } else { range }, normalization };
    let step = step(&scaling, history, subject.now, current, recommended);
    let step = if current == 0 { at_once(step, range.max, recommended) } else { step };
    if is_raised && step.desired < range.min {
        return Step { desired: range.min, outcome: Outcome::BelowMin };
    }
    step
}

/// A step from zero replicas: no policy and no window delays it, because a percentage of nothing is nothing, and jobs
/// wait.
fn at_once(step: Step, max: i32, recommended: Option<i32>) -> Step {
    let (Outcome::MetricAboveTarget(_), Some(stabilized)) = (&step.outcome, recommended) else { return step };
    let replicas = stabilized.min(max);
    let limitation =
        if replicas < stabilized { Limitation::TooManyReplicas } else { Limitation::DesiredWithinRange };
    let stabilization = Stabilization::ReadyForNewScale;
    let normalized = Normalized { stabilized, stabilization, replicas, limitation };
    Step { desired: replicas, outcome: Outcome::MetricAboveTarget(normalized) }
}

/// Minimum and maximum of spec, schedules and overrides, whatever the metrics recommend.
fn declared_bounds(subject: &Subject<'_>) -> Bounds {
    let Subject { declared, overrides, .. } = subject;
    let scheduled = schedule::highest(&declared.schedules, subject.now).map(Bound::of_schedule);
    let floor = Bound::of_min(declared.min_replicas).or_higher(scheduled).or_higher(overrides.floor());
    let ceiling = Bound::of_max(declared.max_replicas).or_lower(overrides.ceiling());
    let required = (subject.required > 0).then(|| Bound::required(subject.required));
    // A maximum below them would block every write of the database.
    Bounds { floor: floor.or_higher(required.clone()), ceiling: ceiling.or_higher(required) }
}

fn first_replicas(subject: &Subject<'_>, bounds: Bounds, memory: &mut ComponentMemory) -> ComponentDecision {
    let is_new = last_decision::floor(subject, bounds.range().max).is_none();
    let min = bounds.range().min;
    memory.scaling.history.seed(subject.now, min);
    let step = Step { desired: min, outcome: Outcome::BelowMin };
    let binding = limits::binding(&step, &bounds, Some(subject.declared.min_replicas));
    ComponentDecision {
        current: 0,
        previous: subject.decided_replicas,
        desired: min,
        reason: if is_new { reason::CREATED } else { cause(&step.outcome, &bounds, false) },
        limited_by: memory.scaling.limits.named(subject.now, binding, |_| true),
        hold: None,
        invalid: BTreeMap::new(),
        proposals: Vec::new(),
        stages: vec![explain::stage("bounds", &format!("starts with {} {min}", bounds.floor.by))],
        change: None,
        dependencies: BTreeMap::new(),
        ejected: Ejected::default(),
        rollout_waits: false,
        canary: None,
        memory: None,
        bounds,
    }
}

fn cause(outcome: &Outcome, bounds: &Bounds, is_fixed: bool) -> Reason {
    let declared =
        |bound: &Bound, own: Reason, name: Reason| if bound.reason == own { name } else { bound.reason };
    match outcome {
        Outcome::AboveMax => declared(&bounds.ceiling, reason::MAX_REPLICAS, reason::ABOVE_MAX_REPLICAS),
        Outcome::BelowMin => declared(&bounds.floor, reason::MIN_REPLICAS, reason::BELOW_MIN_REPLICAS),
        _ if is_fixed => reason::FIXED_REPLICAS,
        Outcome::MetricAboveTarget(_) => reason::METRIC_ABOVE_TARGET,
        Outcome::AllBelowTarget(_) => reason::ALL_METRICS_BELOW_TARGET,
        Outcome::AtTarget(_) => reason::AT_TARGET,
        Outcome::NoValidMetric | Outcome::Disabled => reason::NO_VALID_METRIC,
    }
}

fn invalid(signals: &[Signal<'_>]) -> BTreeMap<String, Invalid> {
    let invalid = |signal: &Signal<'_>| Some((signal.metric.name.clone(), signal.result.invalid()?.clone()));
    signals.iter().filter_map(invalid).collect()
}

fn change(
    subject: &Subject<'_>,
    signals: &[Signal<'_>],
    recommendation: &Recommendation,
    step: &Step,
) -> Option<ScaleChange> {
    if step.desired == subject.current_replicas {
        return None;
    }
    let largest = |signal: &&Signal<'_>| signal.result.proposal().map(|proposal| proposal.replicas);
    let beyond_others =
        step.desired > subject.current_replicas.max(recommendation.largest_without_latency.unwrap_or(0));
    let latency =
        signals.iter().filter(|signal| is_latency(signal)).max_by_key(largest).filter(|_| beyond_others);
    let latency_step = latency.and_then(|signal| {
        Some(LatencyStep {
            metric: signal.metric.name.clone(),
            at: subject.now,
            replicas: step.desired,
            before: signal.result.proposal()?.usage,
        })
    });
    Some(ScaleChange { at: subject.now, from: subject.current_replicas, to: step.desired, latency_step })
}
