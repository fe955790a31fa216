//! Where a canary or a blue-green rollout is, as the status says it. Pure.

use crate::limits::{self, Clip, clip_text};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the rollout of a component with a canary or a blue-green rollout is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// What happens now.
    pub phase: RolloutPhase,
    /// Hash of the stable revision, which takes all requests that the canary does not get; empty until a pod of a revision
    /// is available.
    #[schemars(length(max = limits::REVISION))]
    pub stable: String,
    /// Hash of the new revision; empty while there is none beside the stable one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = limits::REVISION))]
    pub canary: String,
    /// Hash of the revision that all requests of a blue-green rollout go to; empty for a canary, and before a revision has all
    /// of its pods for the first time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = limits::REVISION))]
    pub active: String,
    /// Step of the canary, from 1 on; 0 without a canary. Those of a blue-green rollout are the preview (1), all pods (2) and
    /// the hold after the switch (3).
    pub step: i32,
    /// Steps of the canary; 0 without a canary.
    pub steps: i32,
    /// Percentage of the requests that the step asks for; 0 without a canary.
    pub weight: i32,
    /// When the rollout began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Time>,
    /// When the pods of the step were available; null until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_begun: Option<Time>,
    /// Why it is where it is, as a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = limits::DECISION_MESSAGE))]
    pub message: String,
    /// Hashes of the revisions that were stable before, newest first, at most 5. One of them takes over at once if it is
    /// declared again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::EARLIER_REVISIONS), inner(length(max = limits::REVISION)))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub earlier: Vec<String>,
    /// Revisions that were aborted, newest first, at most 5. They are not tried again until that is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::REJECTED_REVISIONS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["hash".into()]))]
    pub rejected: Vec<RejectedRevision>,
    /// What became of the overrides in force that act once, oldest first, at most 8. Each is read once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::ROLLOUT_ACTS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["uid".into()]))]
    pub acts: Vec<TakenAct>,
}

/// What became of an override that acts once on a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakenAct {
    /// UID of the override.
    #[schemars(length(max = limits::UID))]
    pub uid: String,
    /// Whether it changed the rollout.
    pub acted: bool,
    /// What it changed, or why nothing.
    #[schemars(length(max = limits::DECISION_MESSAGE))]
    pub message: String,
}

/// What happens in a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RolloutPhase {
    /// The declared revision is the stable one.
    #[default]
    Complete,
    /// The declared revision is on its way: a canary, or a blue-green rollout up to the end of its hold.
    Progressing,
    /// The declared revision was aborted, and the stable one has all requests.
    Aborted,
}

/// A revision that was aborted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedRevision {
    /// Its hash.
    #[schemars(length(max = limits::REVISION))]
    pub hash: String,
    /// Why, with the numbers of that moment.
    #[schemars(length(max = limits::DECISION_MESSAGE))]
    pub message: String,
}

impl Clip for RolloutStatus {
    fn clip(mut self) -> Self {
        clip_text(&mut self.stable, limits::REVISION);
        clip_text(&mut self.canary, limits::REVISION);
        clip_text(&mut self.active, limits::REVISION);
        clip_text(&mut self.message, limits::DECISION_MESSAGE);
        for hash in &mut self.earlier {
            clip_text(hash, limits::REVISION);
        }
        self.earlier.truncate(limits::EARLIER_REVISIONS);
        for one in &mut self.rejected {
            clip_text(&mut one.hash, limits::REVISION);
            clip_text(&mut one.message, limits::DECISION_MESSAGE);
        }
        self.rejected.truncate(limits::REJECTED_REVISIONS);
        for one in &mut self.acts {
            clip_text(&mut one.uid, limits::UID);
            clip_text(&mut one.message, limits::DECISION_MESSAGE);
        }
        self.acts.truncate(limits::ROLLOUT_ACTS);
        self
    }
}
