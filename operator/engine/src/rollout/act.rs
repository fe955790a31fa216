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

impl Act {
    /// Why it changes nothing where no rollout is in progress.
    pub(super) fn without_rollout(&self) -> &'static str {
        match self.act {
            RolloutAct::Promote { .. } | RolloutAct::Abort => "no rollout was in progress",
            RolloutAct::Retry => "the declared revision was not aborted, so there is nothing to retry",
        }
    }

    /// Why it changes nothing after the abort of a revision.
    pub(super) fn after_abort(&self, revision: &str) -> String {
        match self.act {
            RolloutAct::Promote { .. } => format!("revision {revision} was aborted before: retry it first"),
            RolloutAct::Abort | RolloutAct::Retry => format!("revision {revision} was aborted before"),
        }
    }
}
