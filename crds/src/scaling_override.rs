//! `ScalingOverride`: a temporary change to the scaling of a ScalableApp. Pure.
#![expect(clippy::duplicated_attributes, reason = "it takes the columns' fields for attributes")]

use crate::{Condition, limits, status::not_observed};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// A temporary change to the scaling of a ScalableApp in the same namespace. It ends at `expiresAt`, or when it is
/// deleted. Exactly one of `hold`, `pause`, `replicas`, `promote`, `abort`, `retry` and `holdRollout` must be set.
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
    doc = "A temporary change to a ScalableApp: hold, pause, other minimum and maximum replicas, or an act on a rollout.",
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
    validation = (ONE_ACT, "set exactly one of hold, pause, replicas, promote, abort, retry, holdRollout"),
    validation = ("!has(self.pause) || !has(self.component)", "pause is for the whole app: remove component, or use hold"),
    validation = ("has(self.component) || !(has(self.promote) || has(self.abort) || has(self.retry))", "promote, abort and retry are for one component: set component")
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
    /// Promote: the new revision of the component begins its next step now, whatever the evidence; after the last step it is
    /// the stable one. It acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote: Option<Promote>,
    /// Abort: the stable revision gets all requests of the component back, and the new one is not tried again. It acts once
    /// and has no fields: write `abort: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Abort>,
    /// Retry: the declared revision of the component was aborted, and is tried again from the first step on. It acts once
    /// and has no fields: write `retry: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Hold of rollouts: while the override is in force, a new revision begins its next step only by a `promote`. A canary is
    /// still aborted if it is worse, and replicas still scale. It has no fields: write `holdRollout: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_rollout: Option<HoldRollout>,
}

const ONE_ACT: &str = "(has(self.hold) ? 1 : 0) + (has(self.pause) ? 1 : 0) + (has(self.replicas) ? 1 : 0) + (has(self.promote) ? 1 : 0) + (has(self.abort) ? 1 : 0) + (has(self.retry) ? 1 : 0) + (has(self.holdRollout) ? 1 : 0) == 1";

impl ScalingOverrideSpec {
    /// One that does nothing yet, for every component.
    #[must_use]
    pub fn new(app: &str, expires_at: Time, by: String, reason: String) -> Self {
        Self {
            app: app.to_owned(),
            component: None,
            expires_at,
            by,
            reason,
            hold: None,
            pause: None,
            replicas: None,
            promote: None,
            abort: None,
            retry: None,
            hold_rollout: None,
        }
    }

    /// Whether it acts on a rollout once: `promote`, `abort` or `retry`.
    #[must_use]
    pub fn acts_once(&self) -> bool {
        self.promote.is_some() || self.abort.is_some() || self.retry.is_some()
    }

    /// Whether it is about rollouts: one that acts once, or `holdRollout`.
    #[must_use]
    pub fn is_of_rollouts(&self) -> bool {
        self.acts_once() || self.hold_rollout.is_some()
    }
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

/// The next step of a new revision, or all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Promote {
    /// All steps of a canary at once: it is the stable revision. A blue-green rollout has one switch, so it changes nothing
    /// there. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
}

/// Gives all requests back to the stable revision. It has no fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Abort {}

/// Tries an aborted revision again. It has no fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Retry {}

/// Keeps new revisions at their step. It has no fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct HoldRollout {}

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
