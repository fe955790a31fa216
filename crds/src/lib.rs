//! The API types of ScalableApp: what kubectl reads and writes.
//!
//! Pure. No client, no async: a value is described here, and defaulted, checked and acted on elsewhere.
//! A field enters this crate when its behaviour enters the operator; nothing is accepted and ignored.

mod behavior;
mod condition;
mod container;
mod decision;
mod duration;
mod fallback;
mod forecast;
mod metric;
mod pod_template;
mod probe;
mod quantity;
mod rollout;
mod scalableapp;
mod scaling_override;
mod schedule;
mod service;
mod status;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use behavior::{Behavior, PolicyType, ScalingPolicyRule, ScalingRules, SelectPolicy};
pub use condition::{Condition, ConditionStatus, condition_type, set_condition};
pub use container::{EnvVar, EnvVarSource, FieldSelector, KeySelector, ResourceFieldSelector, Resources};
pub use decision::{DecisionRecord, LastGood, LatencyStep, Proposal, ScaleEvent, ScalingMemory, Stage};
pub use duration::{GoDuration, InvalidDuration};
pub use fallback::Fallback;
pub use forecast::Forecast;
pub use metric::{Latency, Metric, Prometheus, RequestRate, ResourceTarget};
pub use pod_template::PodTemplate;
pub use probe::{Exec, Grpc, HttpGet, Probe, Probes, TcpSocket};
pub use quantity::{InvalidQuantity, Quantity};
pub use rollout::{IntOrPercent, InvalidIntOrPercent, Rolling, Rollout};
pub use scalableapp::{ScalableApp, ScalableAppSpec};
pub use scaling_override::{Hold, Pause, ReplicaBounds, ScalingOverride, ScalingOverrideSpec};
pub use schedule::Schedule;
pub use service::{Scaling, Service};
pub use status::{ComponentStatus, RevisionStatus, ScalableAppStatus, Tier};

/// API group of every kind.
pub const GROUP: &str = "scalableapp.dev";
/// The served and stored version.
pub const VERSION: &str = "v1alpha1";

/// The CustomResourceDefinition of every kind, as the chart installs them.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![scalableapp::scalable_app_crd(), ScalingOverride::crd()]
}
