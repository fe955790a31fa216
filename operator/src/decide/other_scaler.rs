//! Replicas of another writer, and their report. Pure.

use super::component_state::{ComponentState, OTHER_SCALER};
use scalableapp_crds::limits::{self, clip};
use scalableapp_crds::{DecisionRecord, Stage};
use scalableapp_engine::ComponentDecision;

/// The first stage of a decision after somebody else changed the replicas.
pub(super) fn stage(state: &ComponentState, decision: &ComponentDecision) -> Option<Stage> {
    let (wanted, found) = (decision.previous?, decision.current);
    if wanted == found {
        return None;
    }
    let who = match manager(state) {
        Some(manager) => format!("field manager {manager}"),
        // The API server records no manager for the replicas of an object that was scaled before anybody had set them.
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
    state.revisions.iter().find_map(|revision| revision.workload.part.scaled_by.as_deref())
}

/// Adds that stage to the front of a record. The decision in the log has no such stage, because a replay would not
/// repeat it.
pub(super) fn tell_of(other: Option<Stage>, record: Option<&mut DecisionRecord>) {
    let (Some(other), Some(record)) = (other, record) else { return };
    let message = format!("{}. {}", other.effect, record.message);
    record.message = clip(&message, limits::DECISION_MESSAGE).into_owned();
    record.stages.insert(0, other);
}
