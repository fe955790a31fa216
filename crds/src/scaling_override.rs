//! `ScalingOverride`: a temporary change to the scaling of a ScalableApp. Pure.
#![expect(clippy::duplicated_attributes, reason = "it takes the columns' fields for attributes")]

use crate::{Condition, limits, status::not_observed};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// A temporary change to the scaling of a ScalableApp in the same namespace. It ends at `expiresAt`, or when it is
/// deleted. Exactly one of `hold`, `pause` and `replicas` must be set.
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
    doc = "A temporary change to the scaling of a ScalableApp: hold, pause, or other minimum and maximum replicas.",
    printcolumn(name = "App", type_ = "string", json_path = ".spec.app"),
    printcolumn(name = "Component", type_ = "string", json_path = ".spec.component"),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"InForce\")].reason",
        description = "Whether the override is in force, or why not."
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
    /// Name of the component that the override is for. Default: every component of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::NAME))]
    pub component: Option<String>,
    /// Time at which the override ends, for example `2026-11-25T18:00:00Z`.
    #[x_kube(validation = ("self < timestamp('9999-01-01T00:00:00Z')", "expiresAt must be a time before the year 9999, for example 2026-11-25T18:00:00Z"))]
    pub expires_at: Time,
    /// Name of the person or pipeline that made the override.
    #[schemars(length(min = 1, max = 64))]
    pub by: String,
    /// Reason for the override.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
    /// Hold: keep the current replicas, whatever the metrics say. The app's own `minReplicas` and `maxReplicas` still
    /// apply. It has no fields: write `hold: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Pause: the operator writes only the app's status. It does not scale, roll out or revert manual changes. It is
    /// for the whole app and has no fields: write `pause: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// Other minimum and maximum replicas than those of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicaBounds>,
}

impl ReplicaBounds {
    /// Minimum replicas of the override.
    #[must_use]
    pub fn least(&self) -> Option<i32> {
        self.min.or(self.exact)
    }

    /// Maximum replicas of the override.
    #[must_use]
    pub fn most(&self) -> Option<i32> {
        self.max.or(self.exact)
    }
}

/// Observed state of the override.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingOverrideStatus {
    /// The `metadata.generation` that this status describes; -1 until the operator has seen the object.
    #[serde(default = "not_observed")]
    pub observed_generation: i64,
    /// The condition `InForce` says whether the override is in force, and if not, why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::OVERRIDE_CONDITIONS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Keeps the current replicas. It has no fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Hold {}

/// Writes nothing but the status. It has no fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Pause {}

/// Minimum and maximum replicas while the override is in force: `exact`, or `min`, `max` or both. The app's own
/// `maxReplicas` is never exceeded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.exact) != (has(self.min) || has(self.max))", "set exact, or min, max or both"),
    validation = ("!has(self.min) || !has(self.max) || self.min <= self.max", "max must not be less than min")
)]
pub struct ReplicaBounds {
    /// Minimum replicas, 1 to 10000. A number below the app's `minReplicas` has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub min: Option<i32>,
    /// Maximum replicas, 0 to 10000. Replicas above it are removed at once, without a stabilization window. 0 acts on
    /// components whose `minReplicas` is 0, such as workers, and on no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max: Option<i32>,
    /// Exact number of replicas, 0 to 10000: minimum and maximum at once. 0 is as in `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub exact: Option<i32>,
}
