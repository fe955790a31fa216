//! `ScalingOverride`: a small act upon a ScalableApp that ends by itself. Pure.
#![expect(clippy::duplicated_attributes, reason = "it takes the columns' fields for attributes")]

use crate::{Condition, status::not_observed};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// An act upon the scaling of a ScalableApp of the same namespace, until it expires or is deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "scalableapp.dev",
    version = "v1alpha1",
    kind = "ScalingOverride",
    namespaced,
    status = "ScalingOverrideStatus",
    derive = "PartialEq",
    shortname = "scaleover",
    category = "scalable",
    doc = "An act upon the scaling of a ScalableApp that ends by itself: hold, pause, or other bounds.",
    printcolumn(name = "App", type_ = "string", json_path = ".spec.app"),
    printcolumn(name = "Component", type_ = "string", json_path = ".spec.component"),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"InForce\")].reason",
        description = "Whether it acts, or why not."
    ),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.by"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"InForce\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("(has(self.hold) ? 1 : 0) + (has(self.pause) ? 1 : 0) + (has(self.replicas) ? 1 : 0) == 1", "set exactly one of hold, pause, replicas"),
    validation = ("!has(self.pause) || !has(self.component)", "pause is for the whole app: remove component, or use hold")
)]
pub struct ScalingOverrideSpec {
    /// Name of the ScalableApp, in the same namespace.
    #[schemars(length(min = 1, max = 30))]
    pub app: String,
    /// Name of the component. Default: every component of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    pub component: Option<String>,
    /// When the act ends, in UTC, for example `2026-11-25T18:00:00Z`. The operator's clock counts, also after a restart.
    #[x_kube(validation = ("self < timestamp('9999-01-01T00:00:00Z')", "expiresAt must be a time before the year 9999, for example 2026-11-25T18:00:00Z"))]
    pub expires_at: Time,
    /// Who acts: a person or a pipeline.
    #[schemars(length(min = 1, max = 64))]
    pub by: String,
    /// Why, for those who find it.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
    /// Keep the replicas that there are: metrics change nothing. The app's own bounds still count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Write nothing for the app but its status: no scaling, no rollout, no repair of what is edited by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// Other bounds than the app's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicaBounds>,
}

impl ReplicaBounds {
    /// The fewest replicas that are asked for.
    #[must_use]
    pub fn least(&self) -> Option<i32> {
        self.min.or(self.exact)
    }

    /// The most replicas that are asked for.
    #[must_use]
    pub fn most(&self) -> Option<i32> {
        self.max.or(self.exact)
    }
}

/// What became of the override.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingOverrideStatus {
    /// The `metadata.generation` that this status speaks of; -1 until an operator has seen the object.
    #[serde(default = "not_observed")]
    pub observed_generation: i64,
    /// `InForce`: whether the override acts, and if not why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Keeps the replicas that there are. It has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Hold {}

/// Writes nothing. It has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Pause {}

/// Bounds that count instead of the app's own: `min` raises its floor, `max` lowers its ceiling, `exact` does both.
///
/// An override never passes the app's own `maxReplicas`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.exact) != (has(self.min) || has(self.max))", "set exact, or min, max or both"),
    validation = ("!has(self.min) || !has(self.max) || self.min <= self.max", "max must not be less than min")
)]
pub struct ReplicaBounds {
    /// At least so many replicas, 1 to 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub min: Option<i32>,
    /// At most so many replicas, 1 to 10000. It acts at once, whatever the metrics say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max: Option<i32>,
    /// Exactly so many replicas, 1 to 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub exact: Option<i32>,
}
