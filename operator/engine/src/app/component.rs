//! The decision for one component: signals, combination, bounds, behavior, in this order. Pure.

use crate::app::decision::Decision;
use crate::app::explain;
use crate::app::limits;
use crate::app::recommendation::{Recommendation, is_latency};
use crate::bounds::fallback;
use crate::bounds::incomplete_window;
use crate::bounds::last_decision;
use crate::bounds::schedule;
use crate::bounds::{Bound, Bounds};
use crate::forecast::forecast;
use crate::hpa::history::History;
use crate::hpa::pod::living;
use crate::hpa::range::Range;
use crate::hpa::scale::{Normalization, Outcome, Scaling, Step, step};
use crate::input::Input;
use crate::memory::{Memory, ScaleChange};
use crate::propose::evaluate::{Invalid, Signal, evaluate};
use crate::propose::latency::LatencyStep;
use crate::reason::{self, Reason};
use std::collections::BTreeMap;

/// Decides the replicas of one component. `memory` is what earlier decisions left behind.
///
/// Zero replicas never mean "paused", as they do to HPA: a component that has none, because it was just created or
/// because somebody set it so, gets its minimum, or the replicas of the last decision.
pub fn decide(input: &Input<'_>, mut memory: Memory) -> Decision {
    let pods = living(input.pods);
    let input = &Input { pods: &pods, ..*input };
    memory.forget_undeclared(input.metrics);
    let declared = declared_bounds(input);
    if input.current_replicas == 0 && declared.range().min > 0 {
        return first_replicas(input, declared, memory);
    }

    let signals = evaluate(input, declared.range().min, &mut memory.signals);
    let forecast = forecast(input, &signals, &mut memory.forecasts);
    let fallback = fallback::floor(input.fallback, &signals, &mut memory.missing_since, input.now);
    let incomplete = incomplete_window::floor(input, &signals);
    let is_blind = incomplete.is_some() || signals.iter().any(|signal| signal.result.invalid().is_some());
    memory.history.note_evidence(input.now, is_blind);
    let declared = input.overrides.held(declared, input.decided_replicas.unwrap_or(input.current_replicas));
    let decided = last_decision::floor(input, declared.range().max).filter(|_| is_blind);
    let floors = forecast.floor.into_iter().chain(fallback).chain(incomplete).chain(decided);
    let floor = floors.fold(declared.floor.clone(), |floor, other| floor.or_higher(Some(other)));
    let bounds = Bounds { floor, ceiling: declared.ceiling.clone() };
    let range = bounds.range();
    let recommendation = Recommendation::of(&signals, input.current_replicas, range.min);
    let step = raised(input, declared.range(), range, &mut memory.history, recommendation.replicas);

    let without_bounds = if signals.is_empty() { Some(input.min_replicas) } else { recommendation.replicas };
    let binding = limits::binding(&step, &bounds, without_bounds);
    let is_held = step.outcome == Outcome::NoValidMetric && binding.is_empty();
    let hold = is_held.then_some(match recommendation.largest {
        None => reason::NO_VALID_METRIC,
        Some(_) => reason::SCALE_IN_NEEDS_ALL_METRICS,
    });
    let replicas_stay = step.desired == input.current_replicas;
    let may_be_named = |limit| {
        replicas_stay
            && limits::may_still_be_named(limit, &bounds, step.desired, recommendation.largest.is_none())
    };
    let limited_by = memory.limits.named(input.now, binding, may_be_named);
    let why_they_stay = hold.or_else(|| limited_by.first().copied()).filter(|_| replicas_stay);
    let proposals = explain::proposals(&signals, &memory.signals, input.now);
    let stages = explain::stages(input, &signals, &recommendation, forecast.effect, &bounds, &step);
    Decision {
        current: input.current_replicas,
        desired: step.desired,
        reason: why_they_stay.unwrap_or_else(|| cause(&step.outcome, &bounds, recommendation.is_fixed)),
        limited_by,
        hold,
        invalid: invalid(&signals),
        proposals,
        stages,
        change: change(input, &signals, &recommendation, &step),
        memory,
        bounds,
    }
}

/// One step in a range whose floor a forecast or a fallback may have raised. To HPA fewer replicas than the floor are
/// a reason to have exactly the floor; here the metrics may get more at once, or the floor would take that from them.
fn raised(
    input: &Input<'_>,
    declared: Range,
    range: Range,
    history: &mut History,
    recommended: Option<i32>,
) -> Step {
    let current = input.current_replicas;
    let is_raised = (declared.min..range.min).contains(&current);
    let normalization = Normalization::Behavior(input.behavior);
    let scaling = Scaling { range: if is_raised { declared } else { range }, normalization };
    let step = step(&scaling, history, input.now, current, recommended);
    if is_raised && step.desired < range.min {
        return Step { desired: range.min, outcome: Outcome::BelowMin };
    }
    step
}

/// What spec, schedules and people ask for, whatever the metrics say.
fn declared_bounds(input: &Input<'_>) -> Bounds {
    let scheduled = schedule::highest(input.schedules, input.now).map(Bound::of_schedule);
    let floor = Bound::of_min(input.min_replicas).or_higher(scheduled).or_higher(input.overrides.floor());
    Bounds { floor, ceiling: Bound::of_max(input.max_replicas).or_lower(input.overrides.ceiling()) }
}

fn first_replicas(input: &Input<'_>, bounds: Bounds, mut memory: Memory) -> Decision {
    let decided = last_decision::floor(input, bounds.range().max);
    let is_new = decided.is_none();
    let bounds = Bounds { floor: bounds.floor.or_higher(decided), ..bounds };
    let min = bounds.range().min;
    memory.history.seed(input.now, min);
    let step = Step { desired: min, outcome: Outcome::BelowMin };
    let binding = limits::binding(&step, &bounds, Some(input.min_replicas));
    Decision {
        current: 0,
        desired: min,
        reason: if is_new { reason::CREATED } else { cause(&step.outcome, &bounds, false) },
        limited_by: memory.limits.named(input.now, binding, |_| true),
        hold: None,
        invalid: BTreeMap::new(),
        proposals: Vec::new(),
        stages: vec![explain::stage("bounds", &format!("starts with {} {min}", bounds.floor.by))],
        change: None,
        memory,
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
    input: &Input<'_>,
    signals: &[Signal<'_>],
    recommendation: &Recommendation,
    step: &Step,
) -> Option<ScaleChange> {
    if step.desired == input.current_replicas {
        return None;
    }
    let largest = |signal: &&Signal<'_>| signal.result.proposal().map(|proposal| proposal.replicas);
    let beyond_others =
        step.desired > input.current_replicas.max(recommendation.largest_without_latency.unwrap_or(0));
    let latency =
        signals.iter().filter(|signal| is_latency(signal)).max_by_key(largest).filter(|_| beyond_others);
    let latency_step = latency.and_then(|signal| {
        Some(LatencyStep {
            metric: signal.metric.name.clone(),
            at: input.now,
            replicas: step.desired,
            before: signal.result.proposal()?.usage,
        })
    });
    Some(ScaleChange { at: input.now, from: input.current_replicas, to: step.desired, latency_step })
}
