//! What the operator reports of a ScalableApp. It holds no live measurement, so that it changes only with a decision. Pure.

use crate::{Condition, DecisionRecord, ScalingMemory};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Observed state of the app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalableAppStatus {
    /// The `metadata.generation` that this status describes; -1 until the operator has seen the object.
    #[serde(default = "not_observed")]
    pub observed_generation: i64,
    /// Ready and desired replicas of all components, for example `7/7`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub replicas: String,
    /// What limits the replicas, and of which component, for example `web: MaxReplicas`; empty if nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub limited_by: String,
    /// The conditions `Ready`, `Reconciling`, `Stalled`, `MetricsAvailable`, `ScalingLimited` and `RolloutProgressing`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Observed state of each component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub components: Vec<ComponentStatus>,
}

impl ScalableAppStatus {
    /// What is said of a component; nothing if it was never mentioned.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&ComponentStatus> {
        self.components.iter().find(|component| component.name == name)
    }
}

pub(crate) fn not_observed() -> i64 {
    -1
}

/// Observed state of a component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Name of the component.
    #[schemars(length(max = 20))]
    pub name: String,
    /// Kind of the component.
    pub tier: Tier,
    /// Desired replicas, as last decided.
    pub desired: i32,
    /// Ready pods of all revisions.
    pub ready: i32,
    /// What limits the desired replicas, for example `MaxReplicas`; empty if nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub limited_by: String,
    /// Revisions that have a Deployment, the current one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub revisions: Vec<RevisionStatus>,
    /// What the operator needs for scaling after a restart. It is written only together with a change of the replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ScalingMemory>,
    /// Last decision that changed the desired replicas, their limit or a hold, with its inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<DecisionRecord>,
}

/// Kind of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// A stateless service.
    Service,
}

/// A revision of the component's pods, with a Deployment of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// Hash of the fields that make the pods, and the last part of the Deployment's name.
    #[schemars(length(max = 16))]
    pub hash: String,
    /// Desired replicas of this revision.
    pub replicas: i32,
    /// Ready pods of this revision.
    pub ready: i32,
}
