//! A recorded decision, and what scaling remembers over a restart. Pure.

use crate::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A decision with its inputs, recorded when the replicas, their limit, or a hold or its reason changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// When it was made.
    pub time: Time,
    /// Replicas before it.
    pub from: i32,
    /// Replicas that it asked for.
    pub to: i32,
    /// The reason as one word, from the list in `docs/reasons.md`.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The reason as a sentence.
    #[schemars(length(max = 512))]
    pub message: String,
    /// What each metric proposed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub proposals: Vec<Proposal>,
    /// What each stage did with the proposals, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub stages: Vec<Stage>,
}

/// What one metric proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// Name of the metric.
    #[schemars(length(max = 20))]
    pub metric: String,
    /// The value that was read, with its unit, or why there was none.
    #[schemars(length(max = 96))]
    pub value: String,
    /// The target, with its unit.
    #[schemars(length(max = 48))]
    pub target: String,
    /// Replicas that it asked for; nothing if it had no say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Why its evidence is not whole, as one word; empty if it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub reason: String,
}

/// What one stage did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Name of the stage.
    #[schemars(length(max = 20))]
    pub name: String,
    /// Its effect in words.
    #[schemars(length(max = 200))]
    pub effect: String,
}

/// What scaling must remember so that a restart neither hastens nor widens a change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingMemory {
    /// Changes of replicas inside the longest policy period, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub events: Vec<ScaleEvent>,
    /// The last good value of each metric.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub last_good: Vec<LastGood>,
    /// The last step that a latency metric asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_step: Option<LatencyStep>,
}

/// One change of replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleEvent {
    /// When it was made.
    pub time: MicroTime,
    /// Replicas that were added, or removed if negative.
    pub change: i32,
}

/// A metric's last good value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastGood {
    /// Name of the metric.
    #[schemars(length(max = 20))]
    pub metric: String,
    /// The value, in the metric's unit.
    pub value: Quantity,
    /// When it was measured.
    pub time: Time,
}

/// A step that a latency metric asked for, whose effect must be seen before the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencyStep {
    /// Name of the metric.
    #[schemars(length(max = 20))]
    pub metric: String,
    /// When the step was made.
    pub time: Time,
    /// Replicas that it led to.
    pub replicas: i32,
    /// Latency before it, in seconds.
    pub before: Quantity,
}
