//! The live measurements of an app, as the leader serves them and the plugin reads them. They are never in the status.
//! Pure.
//!
//! The operator serves them as an aggregated API, so Kubernetes' RBAC decides who may read them. Fields are only added.

use crate::LiveDiagnosis;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// API group of the live measurements. The API server forwards it to the operator.
pub const LIVE_GROUP: &str = "live.scalableapp.dev";
/// Its served version.
pub const LIVE_VERSION: &str = "v1alpha1";

/// The path of one app's live measurements at the API server.
#[must_use]
pub fn live_path(namespace: &str, name: &str) -> String {
    format!("/apis/{LIVE_GROUP}/{LIVE_VERSION}/namespaces/{namespace}/scalableapps/{name}")
}

/// One app: the measurements of the last tick, and the decision on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveApp {
    /// Time of the measurement, in RFC 3339.
    pub observed_at: Timestamp,
    /// One entry for each component, in the order of the spec.
    pub components: Vec<LiveComponent>,
    /// What is wrong with it; null from an operator of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<LiveDiagnosis>,
}

/// One component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveComponent {
    /// Name of the component.
    pub name: String,
    /// Desired replicas.
    pub desired: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// `spec.replicas`, summed over the Deployments.
    pub current: i32,
    /// HTTP requests per second; null if there is no fresh sample or no metric uses it.
    #[serde(default)]
    pub request_rate: Option<f64>,
    /// HTTP latency; null if no metric uses it. Up to 12 s and a tick older than the rate unless an app scales on it.
    #[serde(default)]
    pub latency: Option<LiveLatency>,
    /// Jobs of a pool of workers; null for other components, and while they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<LiveBacklog>,
    /// The use of a cache; null for other components, or without a fresh sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<LiveCache>,
    /// Its canary; null while none is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<LiveRollout>,
    /// One entry for each metric of the component.
    #[serde(default)]
    pub metrics: Vec<LiveMetric>,
    /// The reason of the decision as one word, from the list in `docs/reasons.md`.
    #[serde(default)]
    pub reason: String,
    /// The reason as a sentence.
    #[serde(default)]
    pub message: String,
}

/// Quantiles of HTTP latency in seconds; null without requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveLatency {
    /// Median.
    #[serde(default)]
    pub p50: Option<f64>,
    /// 99th percentile.
    #[serde(default)]
    pub p99: Option<f64>,
}

/// The jobs of a pool of workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveBacklog {
    /// Jobs that are due and do not run.
    #[serde(default)]
    pub waiting: f64,
    /// Jobs that run; null where nobody counts them.
    #[serde(default)]
    pub running: Option<f64>,
    /// Age of the oldest waiting job in seconds, 0 without one.
    #[serde(default)]
    pub oldest_seconds: f64,
    /// Pods that complete their jobs before they end.
    #[serde(default)]
    pub draining: u32,
}

/// The use of a cache over all of its shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveCache {
    /// Shards that report.
    pub shards: u32,
    /// Share of reads that found their key in the last 5 minutes, 0 to 1; null without a read.
    pub hit_ratio: Option<f64>,
    /// Keys that were evicted, per second.
    pub evictions_per_second: f64,
    /// Share of the memory for data that is in use, 0 to 1; null if it is not known.
    pub used_memory_ratio: Option<f64>,
}

/// A canary in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveRollout {
    /// Share of the ready pods that are the canary's, 0 to 1; null without a ready pod.
    pub pod_share: Option<f64>,
    /// Share of the requests of this step that the canary got, 0 to 1; null before the first one was counted.
    pub request_share: Option<f64>,
    /// `Promote`, `Abort` or `Hold`; empty before the first judgement of this step.
    pub verdict: String,
    /// Why, as a sentence with numbers.
    pub message: String,
    /// Seconds until the step is expected to be passed if the canary is as good as the stable revision; null if never, or
    /// while too little is known of the load.
    pub expected_seconds: Option<f64>,
    /// What was counted in this step, by kind of bad requests.
    pub evidence: Vec<LiveBadRequests>,
}

/// The bad requests of a kind in a step of a canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveBadRequests {
    /// What is bad, for example `errors`.
    pub kind: String,
    /// Bad requests of the canary.
    pub canary_bad: f64,
    /// Requests of the canary.
    pub canary_requests: f64,
    /// Bad requests of the stable revision.
    pub stable_bad: f64,
    /// Requests of the stable revision.
    pub stable_requests: f64,
    /// Whether the evidence of this kind is enough to pass the step.
    pub is_enough: bool,
}

/// One metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveMetric {
    /// Name of the metric.
    pub name: String,
    /// The value with its unit, or why there is none.
    pub value: String,
    /// The target, with its unit.
    pub target: String,
    /// `Fresh`, or why the sample is invalid, as one word from the list in `docs/reasons.md`.
    pub quality: String,
    /// Proposed replicas; null without a proposal.
    #[serde(default)]
    pub proposal: Option<i32>,
}
