//! A recorded decision, and the memory of scaling that survives a restart. Pure.

use crate::Quantity;
use crate::limits::{self, Clip, clip_list, clip_text};
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
    #[schemars(length(max = limits::REASON))]
    pub reason: String,
    /// Reason for the decision in a sentence.
    #[schemars(length(max = limits::DECISION_MESSAGE))]
    pub message: String,
    /// Number of replicas that each metric proposed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::METRICS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub proposals: Vec<Proposal>,
    /// What each stage of the decision did with the proposals, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::STAGES))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub stages: Vec<Stage>,
}

/// Number of replicas that a metric proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// Name of the metric.
    #[schemars(length(max = limits::NAME))]
    pub metric: String,
    /// Measured value with its unit, or why there is none.
    #[schemars(length(max = limits::VALUE))]
    pub value: String,
    /// Target of the metric with its unit.
    #[schemars(length(max = limits::TARGET))]
    pub target: String,
    /// Proposed replicas; not set if the metric proposed none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Why the value is missing or incomplete, in one word of `docs/reasons.md`; empty if it is complete.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = limits::REASON))]
    pub reason: String,
}

/// What a stage of the decision did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Name of the stage.
    #[schemars(length(max = limits::NAME))]
    pub name: String,
    /// Effect of the stage in a sentence.
    #[schemars(length(max = limits::EFFECT))]
    pub effect: String,
}

/// What the operator needs after a restart so that it does not scale earlier or further than without the restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingMemory {
    /// Changes of the replicas within the longest `periodSeconds` of the policies, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::SCALE_EVENTS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub events: Vec<ScaleEvent>,
    /// Last valid value of each metric.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::METRICS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub last_good: Vec<LastGood>,
    /// Last scale-up that a latency metric caused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_step: Option<LatencyStep>,
    /// A pool of workers before its last growth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth: Option<PoolGrowth>,
    /// Replicas that stay because of degraded dependencies or silent callers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::HOLDS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub holds: Vec<ReplicaHold>,
    /// Seconds from the request for a read replica until it is useful, as learnt from earlier ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_to_useful: Option<i32>,
}

/// Replicas that stay because of a degraded dependency or silent callers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaHold {
    /// Name of the dependency; not set for silent callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::NAME))]
    pub dependency: Option<String>,
    /// Since when.
    pub since: Time,
    /// The replicas.
    pub replicas: i32,
    /// The most pods with an open circuit breaker at the same time.
    pub open: u32,
    /// The pods that reported then.
    pub of: u32,
    /// When the cause ended; not set while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
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
    #[schemars(length(max = limits::NAME))]
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
    #[schemars(length(max = limits::NAME))]
    pub metric: String,
    /// Time of the scale-up.
    pub time: Time,
    /// Desired replicas after the scale-up.
    pub replicas: i32,
    /// Latency before the scale-up, in seconds.
    pub before: Quantity,
}

/// A pool of workers before its last growth. The effect of the growth on the throughput must be measured before the pool
/// grows again without limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolGrowth {
    /// Name of the metric.
    #[schemars(length(max = limits::NAME))]
    pub metric: String,
    /// Replicas before the growth.
    pub replicas: i32,
    /// Jobs that ended per second before the growth.
    pub throughput: Quantity,
    /// Last known duration of a job in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_per_job: Option<Quantity>,
}

impl Clip for DecisionRecord {
    fn clip(mut self) -> Self {
        clip_text(&mut self.reason, limits::REASON);
        clip_text(&mut self.message, limits::DECISION_MESSAGE);
        clip_list(&mut self.proposals, limits::METRICS);
        clip_list(&mut self.stages, limits::STAGES);
        self
    }
}

impl Clip for Proposal {
    fn clip(mut self) -> Self {
        clip_text(&mut self.metric, limits::NAME);
        clip_text(&mut self.value, limits::VALUE);
        clip_text(&mut self.target, limits::TARGET);
        clip_text(&mut self.reason, limits::REASON);
        self
    }
}

impl Clip for Stage {
    fn clip(mut self) -> Self {
        clip_text(&mut self.name, limits::NAME);
        clip_text(&mut self.effect, limits::EFFECT);
        self
    }
}

impl Clip for ScalingMemory {
    fn clip(mut self) -> Self {
        // The oldest change matters least.
        let surplus = self.events.len().saturating_sub(limits::SCALE_EVENTS);
        self.events.drain(..surplus);
        self.last_good.truncate(limits::METRICS);
        self.last_good.iter_mut().for_each(|good| clip_text(&mut good.metric, limits::NAME));
        if let Some(step) = &mut self.latency_step {
            clip_text(&mut step.metric, limits::NAME);
        }
        if let Some(growth) = &mut self.growth {
            clip_text(&mut growth.metric, limits::NAME);
        }
        self.holds.truncate(limits::HOLDS);
        for hold in &mut self.holds {
            hold.dependency.iter_mut().for_each(|name| clip_text(name, limits::NAME));
        }
        self
    }
}
