//! Whether a decision is recorded. Pure.

use super::component_state::ComponentState;
use jiff::Timestamp;
use scalableapp_crds::{ComponentStatus, DecisionRecord, Proposal};
use scalableapp_engine::{ComponentDecision, Invalid, reason};

/// The decision to record when replicas, their limit, or a hold or its reason change, and never for a change of load
/// alone. Replicas also change where somebody else changed them (`is_of_other`) and the desired ones stay.
pub(super) fn record(
    state: &ComponentState,
    known: Option<&ComponentStatus>,
    decision: &ComponentDecision,
    is_of_other: bool,
    now: Timestamp,
) -> Option<DecisionRecord> {
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
    is_new.then(|| decision.record(now))
}

/// Whether a metric is invalid for another reason than the recorded one.
pub(super) fn evidence_is_news(recorded: &[Proposal], decision: &ComponentDecision) -> bool {
    let differs = |(metric, invalid): (&String, &Invalid)| {
        recorded.iter().any(|one| one.metric == *metric && one.reason != invalid.reason.name)
    };
    decision.hold.is_some() && decision.invalid.iter().any(differs)
}

/// Whether a hold begins or ends. While a metric is missing, each measurement may change whether that keeps a replica.
pub(super) fn hold_is_news(recorded: Option<&str>, decision: &ComponentDecision) -> bool {
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
