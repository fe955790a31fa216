//! A recorded decision, and what scaling remembers over a restart. Pure.

use crate::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A decision with its inputs, recorded when the replicas, their limit, or a hold or its reason changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// Time of the decision.
    pub time: Time,
    /// Replicas before the decision.
    pub from: i32,
    /// Desired replicas after the decision.
    pub to: i32,
    /// Reason for the decision in one word; `docs/reasons.md` explains each.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Reason for the decision in a sentence.
    #[schemars(length(max = 512))]
    pub message: String,
    /// Number of replicas that each metric proposed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub proposals: Vec<Proposal>,
    /// What each stage of the decision did with the proposals, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub stages: Vec<Stage>,
}

/// Number of replicas that a metric proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// Name of the metric.
    #[schemars(length(max = 20))]
    pub metric: String,
    /// Measured value with its unit, or why there is none.
    #[schemars(length(max = 96))]
    pub value: String,
    /// Target of the metric with its unit.
    #[schemars(length(max = 48))]
    pub target: String,
    /// Proposed replicas; not set if the metric proposed none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Why the value is missing or incomplete, in one word of `docs/reasons.md`; empty if it is complete.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub reason: String,
}

/// What a stage of the decision did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Name of the stage.
    #[schemars(length(max = 20))]
    pub name: String,
    /// Effect of the stage in a sentence.
    #[schemars(length(max = 200))]
    pub effect: String,
}

/// What the operator needs after a restart so that it does not scale earlier or further than without the restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingMemory {
    /// Changes of the replicas within the longest `periodSeconds` of the policies, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub events: Vec<ScaleEvent>,
    /// Last valid value of each metric.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub last_good: Vec<LastGood>,
    /// Last scale-up that a latency metric caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_step: Option<LatencyStep>,
}

/// A change of the replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleEvent {
    /// Time of the change.
    pub time: MicroTime,
    /// Number of replicas that were added; negative if they were removed.
    pub change: i32,
}

/// Last valid value of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastGood {
    /// Name of the metric.
    #[schemars(length(max = 20))]
    pub metric: String,
    /// Value in the unit of the metric.
    pub value: Quantity,
    /// Time of the measurement.
    pub time: Time,
}

/// A scale-up that a latency metric caused. Its effect must be measured before the metric scales up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencyStep {
    /// Name of the metric.
    #[schemars(length(max = 20))]
    pub metric: String,
    /// Time of the scale-up.
    pub time: Time,
    /// Desired replicas after the scale-up.
    pub replicas: i32,
    /// Latency before the scale-up, in seconds.
    pub before: Quantity,
}
