//! What the operator reports of a ScalableApp. It holds no live measurement, so that it changes only with a decision. Pure.

use crate::{Condition, DecisionRecord, ScalingMemory};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalableAppStatus {
    /// The `metadata.generation` that this status speaks of; -1 until the operator has seen the object.
    #[serde(default = "not_observed")]
    pub observed_generation: i64,
    /// Ready replicas out of the desired ones over all components, for example `7/7`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32))]
    pub replicas: String,
    /// What keeps the components from the replicas that are asked for, for example `web: MaxReplicas`; empty if nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub limited_by: String,
    /// Conditions: `Ready`, `Reconciling`, `Stalled`, `MetricsAvailable`, `ScalingLimited`, `RolloutProgressing`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// One entry for each component.
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

/// What the operator reports of one component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Name of the component.
    #[schemars(length(max = 20))]
    pub name: String,
    /// What kind of component it is.
    pub tier: Tier,
    /// Replicas that the last decision asked for.
    pub desired: i32,
    /// Pods that are ready, over all revisions.
    pub ready: i32,
    /// What keeps `desired` from what is asked for; empty if nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub limited_by: String,
    /// Live revisions, the target first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub revisions: Vec<RevisionStatus>,
    /// What scaling must remember over a restart; written only together with a change of replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ScalingMemory>,
    /// The last decision that changed something, with its inputs.
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

/// One live revision: one Deployment whose template never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// Hash of the user's pod inputs, the last part of the Deployment's name.
    #[schemars(length(max = 16))]
    pub hash: String,
    /// Replicas that this revision should have.
    pub replicas: i32,
    /// Its pods that are ready.
    pub ready: i32,
}
