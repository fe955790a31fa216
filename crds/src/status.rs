//! The status of a ScalableApp. It holds no live measurement, so it changes only with a decision. Pure.

use crate::limits::{self, Clip, clip_list, clip_text};
use crate::{BottleneckStatus, Condition, DecisionRecord, RolloutStatus, ScalingMemory};
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
    #[schemars(length(max = limits::APP_REPLICAS))]
    pub replicas: String,
    /// What limits the replicas, and of which component, for example `web: MaxReplicas`; empty if nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = limits::APP_LIMITED_BY))]
    pub limited_by: String,
    /// What is wrong with the app, and the least complex step; null while nothing is, or while too little is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck: Option<BottleneckStatus>,
    /// The conditions `Ready`, `Reconciling`, `Stalled`, `MetricsAvailable`, `ScalingLimited` and `RolloutProgressing`,
    /// and `DependencyDegraded` where the app declares dependencies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::CONDITIONS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Observed state of each component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::COMPONENTS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub components: Vec<ComponentStatus>,
}

impl ScalableAppStatus {
    /// The status of a component; `None` if there is none yet.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&ComponentStatus> {
        self.components.iter().find(|component| component.name == name)
    }
}

impl ScalableAppStatus {
    /// The reduced status: what scaling needs after a restart, and conditions with short messages. It is written where
    /// the API server refuses the full one, for example because its CRD is of an earlier version.
    #[must_use]
    pub fn reduced(&self) -> Self {
        let condition = |condition: &Condition| Condition {
            message: limits::clip(&condition.message, limits::REASON).into_owned(),
            ..condition.clone()
        };
        let component = |component: &ComponentStatus| ComponentStatus {
            limited_by: String::new(),
            revisions: Vec::new(),
            last_decision: None,
            ..component.clone()
        };
        Self {
            observed_generation: self.observed_generation,
            replicas: self.replicas.clone(),
            limited_by: String::new(),
            bottleneck: None,
            conditions: self.conditions.iter().map(condition).collect(),
            components: self.components.iter().map(component).collect(),
        }
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
    #[schemars(length(max = limits::NAME))]
    pub name: String,
    /// Kind of the component.
    pub tier: Tier,
    /// Desired replicas, as last decided.
    pub desired: i32,
    /// Ready pods of all revisions.
    pub ready: i32,
    /// What limits the desired replicas, for example `MaxReplicas`; empty if nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = limits::LIMITED_BY))]
    pub limited_by: String,
    /// Revisions that have a Deployment, the current one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::REVISIONS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub revisions: Vec<RevisionStatus>,
    /// Where the canary or the blue-green rollout is; null for a component without one in its spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// What the operator needs for scaling after a restart. It is written only together with a change of the replicas,
    /// or of what holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ScalingMemory>,
    /// Last decision that changed the desired replicas, their limit or a hold, with its inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<DecisionRecord>,
}

/// Kind of a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// A stateless service.
    #[default]
    Service,
    /// A pool of workers.
    Worker,
    /// A cache, whose replicas are its shards.
    Cache,
    /// Read replicas of a database.
    Database,
}

impl Tier {
    /// Its name, for example `service`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Worker => "worker",
            Self::Cache => "cache",
            Self::Database => "database",
        }
    }
}

/// A revision of the component's pods, with a Deployment of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// Hash of the fields that make the pods, and the last part of the Deployment's name.
    #[schemars(length(max = limits::REVISION))]
    pub hash: String,
    /// Desired replicas of this revision.
    pub replicas: i32,
    /// Ready pods of this revision.
    pub ready: i32,
}

impl Clip for ScalableAppStatus {
    fn clip(mut self) -> Self {
        clip_text(&mut self.replicas, limits::APP_REPLICAS);
        clip_text(&mut self.limited_by, limits::APP_LIMITED_BY);
        self.bottleneck = self.bottleneck.map(Clip::clip);
        clip_list(&mut self.conditions, limits::CONDITIONS);
        clip_list(&mut self.components, limits::COMPONENTS);
        self
    }
}

impl Clip for ComponentStatus {
    fn clip(mut self) -> Self {
        clip_text(&mut self.name, limits::NAME);
        clip_text(&mut self.limited_by, limits::LIMITED_BY);
        clip_list(&mut self.revisions, limits::REVISIONS);
        self.rollout = self.rollout.map(Clip::clip);
        self.memory = self.memory.map(Clip::clip);
        self.last_decision = self.last_decision.map(Clip::clip);
        self
    }
}

impl Clip for RevisionStatus {
    fn clip(mut self) -> Self {
        clip_text(&mut self.hash, limits::REVISION);
        self
    }
}
