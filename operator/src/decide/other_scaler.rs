//! Replicas that somebody else has written, and how that is told. Pure.

use super::component_state::{ComponentState, OTHER_SCALER};
use scalableapp_crds::limits::{self, clip};
use scalableapp_crds::{DecisionRecord, Stage};
use scalableapp_engine::ComponentDecision;

/// The stage at which a decision begins where somebody else has changed the replicas since the last one.
pub(super) fn stage(state: &ComponentState, decision: &ComponentDecision) -> Option<Stage> {
    let (wanted, found) = (decision.previous?, decision.current);
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
pub(super) fn manager(state: &ComponentState) -> Option<&str> {
    state.revisions.iter().find_map(|revision| revision.deployment.part.scaled_by.as_deref())
}

/// Begins a record with that stage. What a log keeps of the decision has no such stage, or it could not be made again.
pub(super) fn tell_of(other: Option<Stage>, record: Option<&mut DecisionRecord>) {
    let (Some(other), Some(record)) = (other, record) else { return };
    let message = format!("{}. {}", other.effect, record.message);
    record.message = clip(&message, limits::DECISION_MESSAGE).into_owned();
    record.stages.insert(0, other);
}
