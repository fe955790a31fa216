//! What people ask of a rollout. Pure.

use serde::{Deserialize, Serialize};

/// An act on the rollout of a component. It counts once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Act {
    /// UID of the override.
    pub uid: String,
    /// What is asked.
    pub act: RolloutAct,
    /// Who asks.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What is asked of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RolloutAct {
    /// The next step now, whatever the evidence.
    Promote {
        /// All steps at once.
        full: bool,
    },
    /// All requests go back to the stable revision.
    Abort,
    /// An aborted revision is tried again.
    Retry,
}
