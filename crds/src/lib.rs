//! The API types of ScalableApp.
//!
//! Pure. No client, no async: values are described here, and defaulted, checked and used elsewhere. A field is added
//! together with its behavior in the operator; no field is accepted and ignored.

mod behavior;
mod blue_green;
mod bottleneck;
mod cache;
mod canary;
mod cnpg;
mod condition;
mod connection_pool;
mod container;
mod database;
mod decision;
mod dependency;
mod duration;
mod external;
mod fallback;
mod forecast;
mod guarded;
pub mod limits;
mod live;
mod live_diagnosis;
mod metric;
mod pod_template;
mod printable;
mod probe;
mod quantity;
mod raw_object;
mod rollout;
mod rollout_status;
mod route;
mod scalableapp;
mod scaling_override;
mod schedule;
mod service;
mod status;
mod worker;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt;
use serde_json::json;

pub use behavior::{Behavior, PolicyType, ScalingPolicyRule, ScalingRules, SelectPolicy};
pub use blue_green::BlueGreen;
pub use bottleneck::BottleneckStatus;
pub use cache::{Cache, CacheEngine, CacheTarget, CacheTls, Eviction, Redis, Shards};
pub use canary::{Canary, CanaryAnalysis, CanaryStep, ErrorAnalysis, LatencyAnalysis};
pub use cnpg::{ClusterRef, ClusterReplicaTarget, ClusterReplicas, Cnpg};
pub use condition::{Condition, ConditionStatus, condition_type, set_condition};
pub use connection_pool::{ConnectionPool, MaxConnections};
pub use container::{EnvVar, EnvVarSource, FieldSelector, KeySelector, ResourceFieldSelector, Resources};
pub use database::{
    Database, Postgres, Primary, ReadReplicaDrain, ReadReplicaTarget, ReadReplicaTls, ReadReplicas,
    SecretRef, StoragePolicy, WhenPrimaryIsGone,
};
pub use decision::{
    DecisionRecord, LastGood, LatencyStep, PoolGrowth, Proposal, ReplicaHold, ScaleEvent, ScalingMemory,
    Stage,
};
pub use dependency::{
    BreakerState, Circuit, CircuitQuery, CircuitSource, CircuitValue, Dependency, Ejection,
};
pub use duration::{GoDuration, InvalidDuration};
pub use external::{DatabaseUrl, External};
pub use fallback::Fallback;
pub use forecast::Forecast;
pub use guarded::{Cause, Guarded, LARGEST, Unreadable};
pub use live::{
    LIVE_GROUP, LIVE_VERSION, LiveApp, LiveBacklog, LiveBadRequests, LiveCache, LiveComponent, LiveLatency,
    LiveMetric, LiveRollout, live_path,
};
pub use live_diagnosis::{LiveDiagnosis, LiveEvidence, LiveHeadroom, diagnosis_schema};
pub use metric::{Latency, Metric, Prometheus, RequestRate, ResourceTarget};
pub use pod_template::PodTemplate;
pub use printable::{has_effect, printable};
pub use probe::{Exec, Grpc, HttpGet, Probe, Probes, TcpSocket};
pub use quantity::{InvalidQuantity, Quantity};
pub use raw_object::{RawObject, TOO_LARGE};
pub use rollout::{IntOrPercent, InvalidIntOrPercent, Rolling, Rollout, WorkerRollout};
pub use rollout_status::{RejectedRevision, RolloutPhase, RolloutStatus, TakenAct};
pub use route::{GatewayRef, Route};
pub use scalableapp::{ScalableApp, ScalableAppSpec};
pub use scaling_override::{
    Abort, Hold, HoldRollout, Pause, Promote, ReplicaBounds, Retry, ScalingOverride, ScalingOverrideSpec,
    ScalingOverrideStatus,
};
pub use schedule::Schedule;
pub use service::{Scaling, Service};
pub use status::{ComponentStatus, RevisionStatus, ScalableAppStatus, Tier};
pub use worker::{Backlog, BacklogQueries, Drain, Worker, WorkerScaling};

/// API group of all kinds.
pub const GROUP: &str = "scalableapp.dev";
/// The served and stored version.
pub const VERSION: &str = "v1alpha1";

/// The CustomResourceDefinitions of all kinds, as the chart installs them.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![unseen_at_first(ScalableApp::crd()), unseen_at_first(ScalingOverride::crd())]
}

/// `status` defaults to an `observedGeneration` of -1. Without it, tools that follow kstatus would treat an object that
/// no operator has seen yet as finished.
fn unseen_at_first(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let status = version
            .schema
            .as_mut()
            .and_then(|validation| validation.open_api_v3_schema.as_mut())
            .and_then(|schema| schema.properties.as_mut())
            .and_then(|properties| properties.get_mut("status"));
        if let Some(status) = status {
            status.default = Some(JSON(json!({"observedGeneration": -1})));
        }
    }
    crd
}
