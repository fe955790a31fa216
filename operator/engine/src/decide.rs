//! The decision for one component: signals, combination, bounds, behavior, in this order. Pure.

use crate::behavior::Behavior;
use crate::bounds::{Bound, Bounds, Range};
use crate::combine::combine;
use crate::evaluate::{Invalid, Signal, Vote, evaluate};
use crate::explain;
use crate::fallback::{self, Fallback};
use crate::forecast::{Forecast, foresee};
use crate::history::History;
use crate::latency::LatencyStep;
use crate::limits;
use crate::memory::{Memory, ScaleChange};
use crate::metric::{Metric, Target};
use crate::overrides::Overrides;
use crate::pod::{Pod, living};
use crate::reason::{self, Reason};
use crate::sample::Reading;
use crate::scale::{Normalization, Outcome, Scaling, Step, step};
use crate::schedule::{self, Schedule};
use crate::season::Seasonal;
use crate::signal::PodTiming;
use crate::window;
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::{Proposal, Stage};
use std::collections::BTreeMap;

/// Everything that a decision for one component depends on, but for the [`Memory`] that earlier ones left behind.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The instant of the decision.
    pub now: Timestamp,
    /// The fewest replicas.
    pub min_replicas: i32,
    /// Spans of time in which they are more.
    pub schedules: &'a [Schedule],
    /// The most replicas.
    pub max_replicas: i32,
    /// The declared metrics, in their order.
    pub metrics: &'a [Metric],
    /// How fast replicas may change, with defaults filled in.
    pub behavior: &'a Behavior,
    /// The replicas that were last asked for, without the surge of a rollout
    /// (see [`current_replicas`](crate::rollout::current_replicas)).
    pub current_replicas: i32,
    /// The replicas that exist: the sum of `status.replicas` over the live revisions.
    pub status_replicas: i32,
    /// The pods of all live revisions. Those that have ended count for nothing.
    pub pods: &'a [Pod],
    /// What the queries returned, by metric name. CPU and memory are read from `pods` instead.
    pub readings: &'a BTreeMap<String, Reading>,
    /// The age up to which a sample is fresh.
    pub max_sample_age: SignedDuration,
    /// How long CPU samples of young pods are distrusted.
    pub timing: PodTiming,
    /// How the load is foretold; nothing where the floor is not to be raised for it.
    pub forecast: Option<Forecast>,
    /// What is known of the seasons of the metrics, by name. Read only where the forecast has a season; one that is
    /// missing is awaited.
    pub seasons: &'a BTreeMap<String, Seasonal>,
    /// What to have while a metric is missing; nothing where the replicas then stay.
    pub fallback: Option<Fallback>,
    /// What people ask for a while.
    pub overrides: &'a Overrides,
}

/// What to do, why, and what to remember.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Replicas before.
    pub current: i32,
    /// Replicas that the component should have.
    pub desired: i32,
    /// Why the replicas change or, where they stay, why they do: a hold, the first limit, or what the metrics ask for.
    pub reason: Reason,
    /// What keeps `desired` from what is asked for, the one that wins first; empty if nothing. A limit of load is also
    /// named where it bound, at these replicas, in the last minute. The stages say what binds now.
    pub limited_by: Vec<Reason>,
    /// Why nothing may be done; nothing if the metrics can be acted on, or if a bound decides without them.
    pub hold: Option<Reason>,
    /// Metrics whose evidence is missing or not whole, by name. Latency is never among them.
    pub invalid: BTreeMap<String, Invalid>,
    /// What each metric asked for, latency last.
    pub proposals: Vec<Proposal>,
    /// What each stage did, in order.
    pub stages: Vec<Stage>,
    /// The change to write and then to tell [`Memory::record`]; nothing if there is none, and nothing for the first
    /// replicas of a component, which no policy counts.
    pub change: Option<ScaleChange>,
    /// The memory for the next decision, as long as `change` was not written.
    pub memory: Memory,
    /// What the replicas were kept within.
    pub(crate) bounds: Bounds,
}

/// Decides the replicas of one component. `memory` is what earlier decisions left behind.
///
/// Zero replicas never mean "paused", as they do to HPA: a component that has none, because it was just created or
/// because somebody set it so, gets its minimum.
pub fn decide(input: &Input<'_>, mut memory: Memory) -> Decision {
    let pods = living(input.pods);
    let input = &Input { pods: &pods, ..*input };
    memory.forget_undeclared(input.metrics);
    let declared = declared_bounds(input);
    if input.current_replicas == 0 && declared.range().min > 0 {
        return first_replicas(input, declared, memory);
    }

    let signals = evaluate(input, declared.range().min, &mut memory);
    let foresight = foresee(input, &signals, &mut memory);
    let fallback = fallback::floor(input.fallback, &signals, &mut memory, input.now);
    let incomplete = window::floor(input, &signals);
    let is_blind = incomplete.is_some() || signals.iter().any(|signal| signal.vote.invalid().is_some());
    memory.history.note_evidence(input.now, is_blind);
    let declared = input.overrides.held(declared, input.current_replicas);
    let floor = declared.floor.clone().or_higher(foresight.floor).or_higher(fallback).or_higher(incomplete);
    let bounds = Bounds { floor, ceiling: declared.ceiling.clone() };
    let range = bounds.range();
    let asked = Asked::of(&signals, input.current_replicas, range.min);
    let step = raised(input, declared.range(), range, &mut memory.history, asked.replicas);

    let without_bounds = if signals.is_empty() { Some(input.min_replicas) } else { asked.replicas };
    let binding = limits::binding(&step, &bounds, without_bounds);
    let is_held = step.outcome == Outcome::NoValidMetric && binding.is_empty();
    let hold = is_held.then_some(match asked.largest {
        None => reason::NO_VALID_METRIC,
        Some(_) => reason::SCALE_IN_NEEDS_ALL_METRICS,
    });
    let replicas_stay = step.desired == input.current_replicas;
    let lingers =
        |limit| replicas_stay && limits::may_linger(limit, &bounds, step.desired, asked.largest.is_none());
    let limited_by = memory.linger(input.now, binding, lingers);
    let why_they_stay = hold.or_else(|| limited_by.first().copied()).filter(|_| replicas_stay);
    let proposals = explain::proposals(&signals, &memory, input.now);
    let stages = explain::stages(input, &signals, &asked, foresight.effect, &bounds, &step);
    Decision {
        current: input.current_replicas,
        desired: step.desired,
        reason: why_they_stay.unwrap_or_else(|| cause(&step.outcome, &bounds, asked.is_fixed)),
        limited_by,
        hold,
        invalid: invalid(&signals),
        proposals,
        stages,
        change: change(input, &signals, &asked, &step),
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
    asked: Option<i32>,
) -> Step {
    let current = input.current_replicas;
    let is_raised = (declared.min..range.min).contains(&current);
    let normalization = Normalization::Behavior(input.behavior);
    let scaling = Scaling { range: if is_raised { declared } else { range }, normalization };
    let step = step(&scaling, history, input.now, current, asked);
    if is_raised && step.desired < range.min {
        return Step { desired: range.min, outcome: Outcome::BelowMin };
    }
    step
}

/// What the metrics ask for together.
pub(crate) struct Asked {
    /// Replicas that may be acted on; nothing where a missing metric forbids it.
    pub(crate) replicas: Option<i32>,
    /// The largest proposal, whether or not it may be acted on.
    pub(crate) largest: Option<i32>,
    /// The largest proposal without those of latency.
    pub(crate) largest_without_latency: Option<i32>,
    /// Whether latency raised a smaller number to the current one.
    pub(crate) kept_by_latency: bool,
    /// Whether no metric is declared that could ask for fewer.
    pub(crate) is_fixed: bool,
}

impl Asked {
    fn of(signals: &[Signal<'_>], current: i32, min: i32) -> Self {
        let proposal = |signal: &Signal<'_>| signal.vote.proposal().map(|proposal| proposal.replicas);
        let (latencies, others): (Vec<_>, Vec<_>) = signals.iter().partition(|signal| is_latency(signal));
        if others.is_empty() {
            let largest = Some(if signals.is_empty() { min } else { current });
            return Self {
                replicas: largest,
                largest,
                largest_without_latency: largest,
                kept_by_latency: false,
                is_fixed: true,
            };
        }
        let more = latencies.iter().filter_map(|signal| proposal(signal)).map(Some);
        let all = combine(current, others.iter().map(|signal| proposal(signal)).chain(more));
        let keeps = latencies.iter().any(|signal| matches!(signal.vote, Vote::Keeps { .. }));
        Self {
            // What latency keeps is a recommendation of its own, as its asking would have been.
            replicas: if keeps { all.largest.map(|largest| largest.max(current)) } else { all.replicas },
            largest: all.largest,
            largest_without_latency: others.iter().filter_map(|signal| proposal(signal)).max(),
            kept_by_latency: keeps && all.largest.is_some_and(|largest| largest < current),
            is_fixed: false,
        }
    }
}

fn is_latency(signal: &Signal<'_>) -> bool {
    matches!(signal.metric.target, Target::Latency { .. })
}

/// What spec, schedules and people ask for, whatever the metrics say.
fn declared_bounds(input: &Input<'_>) -> Bounds {
    let scheduled = schedule::highest(input.schedules, input.now).map(Bound::of_schedule);
    let floor = Bound::of_min(input.min_replicas).or_higher(scheduled).or_higher(input.overrides.floor());
    Bounds { floor, ceiling: Bound::of_max(input.max_replicas).or_lower(input.overrides.ceiling()) }
}

fn first_replicas(input: &Input<'_>, bounds: Bounds, mut memory: Memory) -> Decision {
    let min = bounds.range().min;
    memory.history.seed(input.now, min);
    let step = Step { desired: min, outcome: Outcome::BelowMin };
    let binding = limits::binding(&step, &bounds, Some(input.min_replicas));
    Decision {
        current: 0,
        desired: min,
        reason: reason::CREATED,
        limited_by: memory.linger(input.now, binding, |_| true),
        hold: None,
        invalid: BTreeMap::new(),
        proposals: Vec::new(),
        stages: vec![explain::stage("bounds", format!("starts with {} {min}", bounds.floor.by))],
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
    let invalid = |signal: &Signal<'_>| Some((signal.metric.name.clone(), signal.vote.invalid()?.clone()));
    signals.iter().filter_map(invalid).collect()
}

fn change(input: &Input<'_>, signals: &[Signal<'_>], asked: &Asked, step: &Step) -> Option<ScaleChange> {
    if step.desired == input.current_replicas {
        return None;
    }
    let largest = |signal: &&Signal<'_>| signal.vote.proposal().map(|proposal| proposal.replicas);
    let beyond_others = step.desired > input.current_replicas.max(asked.largest_without_latency.unwrap_or(0));
    let latency =
        signals.iter().filter(|signal| is_latency(signal)).max_by_key(largest).filter(|_| beyond_others);
    let latency_step = latency.and_then(|signal| {
        Some(LatencyStep {
            metric: signal.metric.name.clone(),
            at: input.now,
            replicas: step.desired,
            before: signal.vote.proposal()?.usage,
        })
    });
    Some(ScaleChange { at: input.now, from: input.current_replicas, to: step.desired, latency_step })
}
