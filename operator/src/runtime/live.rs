//! The live measurements of each app, as the plugin reads them: what status must not hold. Pure.
//!
//! `GET /v1/apps/{namespace}/{name}` of the leader shows them. Field names are the JSON's; they only ever gain members.

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Serialize;

/// One app: what the last tick measured, and what is decided on it now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveApp {
    /// Name of the ScalableApp.
    pub app: String,
    /// Its namespace.
    pub namespace: String,
    /// When it was measured, in RFC 3339.
    pub observed_at: Timestamp,
    /// One entry for each component, in the order of the spec.
    pub components: Vec<LiveComponent>,
}

/// One component.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveComponent {
    /// Name of the component.
    pub name: String,
    /// Replicas that the decision asks for.
    pub desired: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Replicas that the Deployments ask for now.
    pub current: i32,
    /// HTTP requests per second; null if there is no fresh sample or nothing asks for it.
    pub request_rate: Option<f64>,
    /// HTTP latency; null if nothing asks for it. Up to 12 s and a tick older than the rate unless an app scales on it.
    pub latency: Option<LiveLatency>,
    /// One entry for each metric of the component.
    pub metrics: Vec<LiveMetric>,
    /// The reason of the decision as one word, from the list in `docs/reasons.md`.
    pub reason: String,
    /// The reason as a sentence.
    pub message: String,
}

/// Quantiles of HTTP latency in seconds; null while no request was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LiveLatency {
    /// Median.
    pub p50: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
}

/// One metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveMetric {
    /// Name of the metric.
    pub name: String,
    /// The value that was read, with its unit, or why there was none.
    pub value: String,
    /// The target, with its unit.
    pub target: String,
    /// `Fresh`, or the reason why the sample may not be acted on, as one word from the list in `docs/reasons.md`.
    pub quality: String,
    /// Replicas that it asks for; null if it had no say.
    pub proposal: Option<i32>,
}

/// Where the live measurements come from.
pub trait LiveSource: Send + Sync {
    /// An app by namespace and name; nothing if there is no such app, or it was not measured yet.
    fn app<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Option<LiveApp>>;

    /// Sets the gauges that there are for each component, before they are shown.
    fn set_gauges(&self);
}
