//! What the judge says of a canary. Pure.

use crate::rollout::judge::verdict::{Because, CanaryVerdict};
use serde::{Deserialize, Serialize};

/// The judgement of a canary at one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryReading {
    /// Hash of the new revision that was judged.
    pub canary: String,
    /// Hash of the revision that it was compared with.
    pub stable: String,
    /// Index of the step that was judged, from 0 on.
    pub step: usize,
    /// The verdict.
    pub verdict: CanaryVerdict,
    /// Why.
    pub because: Because,
    /// One sentence or two, with numbers.
    pub sentence: String,
}
