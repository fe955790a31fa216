//! What is wrong with an app, as its status says it. Pure.

use crate::limits::{self, Clip, clip_text};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The one cause of the app's problem. Its numbers are those of its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BottleneckStatus {
    /// The component, the database or the dependency that has the cause.
    #[schemars(length(max = limits::NAME))]
    pub component: String,
    /// The cause as one word, for example `DatabaseSlow`. `Unknown` and `NotAScalingProblem` are said, too.
    #[schemars(length(max = limits::REASON))]
    pub cause: String,
    /// The least complex step as one word, for example `Query`.
    #[schemars(length(max = limits::REASON))]
    pub advice: String,
    /// When it was first seen.
    pub since: Time,
    /// The cause with its numbers and the step, in sentences.
    #[schemars(length(max = limits::DECISION_MESSAGE))]
    pub message: String,
}

impl Clip for BottleneckStatus {
    fn clip(mut self) -> Self {
        clip_text(&mut self.component, limits::NAME);
        clip_text(&mut self.cause, limits::REASON);
        clip_text(&mut self.advice, limits::REASON);
        clip_text(&mut self.message, limits::DECISION_MESSAGE);
        self
    }
}
