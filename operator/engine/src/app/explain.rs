//! A decision in words: the value of each metric, the effect of each stage, and the record for the status. Pure.
//!
//! A record of eight metrics stays within 2 KiB as JSON, so every text here is short.

use crate::app::decision::ComponentDecision;
use crate::app::limits::{self, replicas};
use crate::app::recommendation::Recommendation;
use crate::app::subject::Subject;
use crate::bounds::{Bound, Bounds};
use crate::hpa::normalize::{Limitation, Normalized, Stabilization};
use crate::hpa::range::Range;
use crate::hpa::scale::{Outcome, Step};
use crate::hpa::signal::Assumed;
use crate::propose::evaluate::{LastGood, MetricResult, Signal, SignalMemory};
use crate::propose::metric::{Metric, Target};
use crate::propose::worker::BacklogProposal;
use crate::reason::{self, Reason};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use scalableapp_crds::limits::{DECISION_MESSAGE, clip};
use scalableapp_crds::{DecisionRecord, Proposal, Stage};

/// Characters of the value of a proposal: fewer than the API allows, so that a record stays small.
const VALUE_LENGTH: usize = 76;
/// Characters of the effect of a stage, for the same reason.
const EFFECT_LENGTH: usize = 120;

impl ComponentDecision {
    /// The decision as one sentence, for events and conditions.
    pub fn message(&self) -> String {
        let effect = match (self.current, self.desired) {
            (1, 1) => "1 replica stays".to_owned(),
            (current, desired) if current == desired => format!("{current} replicas stay"),
            (current, desired) => format!("from {current} to {}", replicas(desired)),
        };
        let limits: Vec<&str> = self.limited_by.iter().map(|reason| reason.name).collect();
        let limits =
            if limits.is_empty() { String::new() } else { format!(", limited by {}", limits.join(", ")) };
        let result = format!(" Result: {effect}{limits}.");
        let room = DECISION_MESSAGE.saturating_sub(result.chars().count());
        clip(&self.sentence(self.reason), room).into_owned() + &result
    }

    /// One of its reasons as a sentence. It names bounds and who set them, but no measurement, so it changes with its
    /// cause only.
    pub fn sentence(&self, reason: Reason) -> String {
        limits::sentence(reason, &self.bounds)
    }

    /// The decision for the status, to the second: a record that was written and read must be equal.
    pub fn record(&self, now: Timestamp) -> DecisionRecord {
        DecisionRecord {
            time: Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
            from: self.current,
            to: self.desired,
            reason: self.reason.name.to_owned(),
            message: self.message(),
            proposals: self.proposals.clone(),
            stages: self.stages.clone(),
        }
    }
}

pub(crate) fn stage(name: &str, effect: &str) -> Stage {
    Stage { name: name.to_owned(), effect: clip(effect, EFFECT_LENGTH).into_owned() }
}

/// The stage of the shared connections, if there is a budget.
pub(crate) fn shared(connections: &str) -> Option<Stage> {
    (!connections.is_empty()).then(|| stage("connections", connections))
}

pub(crate) fn proposals(signals: &[Signal<'_>], memory: &SignalMemory, now: Timestamp) -> Vec<Proposal> {
    signals.iter().map(|signal| proposal(signal, memory.last_good.get(&signal.metric.name), now)).collect()
}

fn proposal(signal: &Signal<'_>, last_good: Option<&LastGood>, now: Timestamp) -> Proposal {
    let Metric { name, target } = signal.metric;
    let value = match (&signal.result, last_good) {
        (MetricResult::Asks(proposal), _) => {
            let measured = || target.show(target.measured(proposal));
            let measured = signal.backlog.as_ref().map_or_else(measured, BacklogProposal::value);
            let note = proposal.assumed.map(|assumed| assumption(target, assumed));
            note.map_or_else(|| measured.clone(), |note| format!("{measured}; {note}"))
        }
        (MetricResult::AtLeast(proposal, invalid), _) => {
            format!("at least {}; {}", target.show(target.measured(proposal)), invalid.why)
        }
        (MetricResult::Invalid(invalid), None) => invalid.why.clone(),
        (MetricResult::Invalid(invalid), Some(good)) => {
            let age = now.duration_since(good.at).as_secs();
            format!("{}; {age} s ago {}", invalid.why, target.show(good.milli))
        }
        (MetricResult::Keeps { latency, why }, _) => format!("{}; {why}", target.show(*latency)),
        (MetricResult::Silent { measured: Some(value), why }, _) if why.is_empty() => target.show(*value),
        (MetricResult::Silent { measured: Some(value), why }, _) => format!("{}; {why}", target.show(*value)),
        (MetricResult::Silent { measured: None, why }, _) => format!("{why}; scale-in is not blocked"),
    };
    Proposal {
        metric: name.clone(),
        value: clip(&value, VALUE_LENGTH).into_owned(),
        target: target.show_target(),
        replicas: signal.result.proposal().map(|proposal| proposal.replicas),
        reason: signal.result.invalid().map_or_else(String::new, |invalid| invalid.reason.name.to_owned()),
    }
}

/// Why the proposal differs from what the value alone explains.
fn assumption(target: &Target, assumed: Assumed) -> String {
    let (pods, count) = match assumed.pods {
        1 => ("1 pod".to_owned(), "counts"),
        pods => (format!("{pods} pods"), "count"),
    };
    let which = if assumed.idle { "without a sample or starting" } else { "without a sample" };
    format!("{pods} {which} {count} as {}", target.show_assumed(assumed))
}

pub(crate) fn stages(
    subject: &Subject<'_>,
    signals: &[Signal<'_>],
    recommendation: &Recommendation,
    forecast: Option<String>,
    bounds: &Bounds,
    step: &Step,
) -> Vec<Stage> {
    let mut stages = vec![
        stage("evidence", &signals_effect(signals)),
        stage("recommendation", &combine_effect(signals, recommendation, subject.current_replicas)),
    ];
    stages.extend(recent_effect(signals).map(|effect| stage("recent rate", &effect)));
    stages.extend(forecast.map(|effect| stage("forecast", &effect)));
    stages.extend([
        stage("bounds", &bounds_effect(recommendation, bounds, step, subject.current_replicas)),
        stage("behavior", &behavior_effect(subject, step)),
    ]);
    stages
}

fn signals_effect(signals: &[Signal<'_>]) -> String {
    let invalid = signals.iter().filter(|signal| matches!(signal.result, MetricResult::Invalid(_)));
    let invalid: Vec<&str> = invalid.map(|signal| signal.metric.name.as_str()).collect();
    match (signals.len(), invalid.len()) {
        (0, _) => "no metric is declared".to_owned(),
        (total, 0) => format!("{total} of {total} metrics can be evaluated"),
        (total, missing) => {
            format!("{} of {total} metrics can be evaluated; not {}", total - missing, invalid.join(", "))
        }
    }
}

fn combine_effect(signals: &[Signal<'_>], recommendation: &Recommendation, current: i32) -> String {
    let Some(largest) = recommendation.largest else {
        return format!("no metric can be evaluated: stays {current}");
    };
    if recommendation.is_fixed {
        return format!("no metric is declared that may scale in: {largest}");
    }
    if recommendation.replicas.is_none() {
        return format!("{largest} recommended; no scale-in from {current} while a metric is missing");
    }
    if recommendation.kept_by_latency {
        return format!("{largest} recommended; latency keeps {current}");
    }
    let is_largest = |signal: &&Signal<'_>| signal.replicas() == Some(largest);
    let Some(signal) = signals.iter().find(is_largest) else { return format!("{largest} recommended") };
    let recent = signal.recent.map(|_| " in the last seconds".to_owned());
    let why = signal.backlog.as_ref().map(|backlog| format!(": {}", backlog.why())).or(recent);
    format!("{largest} recommended by {}{}", signal.metric.name, why.unwrap_or_default())
}

/// The largest proposal of a short window; `None` where there is none.
fn recent_effect(signals: &[Signal<'_>]) -> Option<String> {
    let recent = signals.iter().filter_map(|signal| Some((signal.recent?, &signal.metric.name)));
    let (recent, metric) = recent.max_by_key(|(recent, _)| recent.replicas)?;
    Some(format!("{metric}: {}", recent.show()))
}

fn bounds_effect(recommendation: &Recommendation, bounds: &Bounds, step: &Step, current: i32) -> String {
    let Range { min, max } = bounds.range();
    let Bound { by, measured, .. } = &bounds.floor;
    let (floor, ceiling) = (format!("{by}{measured}"), &bounds.ceiling.by);
    if bounds.floor.replicas > max {
        return format!("{floor} {} is above {ceiling} {max}, which wins", bounds.floor.replicas);
    }
    let of_spec = [reason::MIN_REPLICAS, reason::MAX_REPLICAS];
    let is_declared = |bound: &Bound| of_spec.contains(&bound.reason);
    let named = |bound: &Bound| if is_declared(bound) { String::new() } else { format!(" by {}", bound.by) };
    match (&step.outcome, recommendation.replicas) {
        (Outcome::AboveMax, _) => format!("{current} is above {ceiling} {max}: acts at once"),
        (Outcome::BelowMin, _) => format!("{current} is below {floor} {min}: acts at once"),
        (_, Some(replicas)) if replicas > max => format!("{replicas} is above {ceiling} {max}"),
        (_, Some(replicas)) if replicas < min => format!("{replicas} is below {floor} {min}"),
        (_, Some(replicas)) => {
            format!("{replicas} is within {min}{} to {max}{}", named(&bounds.floor), named(&bounds.ceiling))
        }
        (_, None) => format!("{min}{} to {max}{}", named(&bounds.floor), named(&bounds.ceiling)),
    }
}

fn behavior_effect(subject: &Subject<'_>, step: &Step) -> String {
    let current = subject.current_replicas;
    let effect = |replicas: i32| {
        if replicas == current { format!("stays {current}") } else { format!("{current} to {replicas}") }
    };
    let Some(normalized) = step.outcome.normalized() else {
        let acts_at_once = matches!(step.outcome, Outcome::AboveMax | Outcome::BelowMin);
        let why = if acts_at_once { "bounds act at once" } else { "no usable metric" };
        return format!("{why}: {}", effect(step.desired));
    };
    let Normalized { stabilized, replicas, .. } = *normalized;
    let window = match normalized.stabilization {
        Stabilization::ReadyForNewScale => None,
        Stabilization::ScaleUpStabilized => {
            Some(subject.declared.behavior.scale_up.stabilization_window_seconds)
        }
        Stabilization::ScaleDownStabilized => {
            Some(subject.declared.behavior.scale_down.stabilization_window_seconds)
        }
    };
    let stabilized_text =
        window.map(|seconds| format!("stabilized to {stabilized} over the last {seconds} s; "));
    let limited_text = normalized
        .is_limited()
        .then(|| format!("{stabilized} limited by {}; ", limitation(normalized.limitation)));
    [stabilized_text, limited_text, Some(effect(replicas))].into_iter().flatten().collect()
}

fn limitation(limitation: Limitation) -> &'static str {
    match limitation {
        Limitation::DesiredWithinRange => "nothing",
        Limitation::TooFewReplicas => "the minimum",
        Limitation::TooManyReplicas => "the maximum",
        Limitation::ScaleUpLimit => "the scale-up policies",
        Limitation::ScaleDownLimit => "the scale-down policies",
    }
}
