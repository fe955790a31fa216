//! What a component may be scaled on. Pure.

use crate::{
    GoDuration, Quantity,
    duration::is_duration,
    quantity::{above_zero, number_or_text},
    service::COMPONENT_NAME,
};
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// One metric. Each metric proposes a number of replicas and the largest proposal wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.requestRate), has(self.latency), has(self.cpu), has(self.memory), has(self.prometheus)].filter(x, x).size() == 1", "set exactly one of requestRate, latency, cpu, memory, prometheus"))]
pub struct Metric {
    /// Name of the metric in decisions and status, unique within the component.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (COMPONENT_NAME, "name must be lower case letters, digits and hyphens, start with a letter and not end with a hyphen"))]
    pub name: String,
    /// HTTP requests per second that one replica should serve.
    /// Read from `http_server_request_duration_seconds` at the component's `metricsPort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_rate: Option<RequestRate>,
    /// A quantile of HTTP latency. It may only ask for more replicas, never for fewer, and only while the
    /// component's own saturation moves with it; so it cannot be the only metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// CPU usage of the component's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<ResourceTarget>,
    /// Memory working set of the component's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ResourceTarget>,
    /// The result of a query of one's own, confined to the app's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
}

/// Target for the request rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRate {
    /// Requests per second for one replica, as a quantity above 0.
    #[schemars(schema_with = "above_zero")]
    pub per_replica: Quantity,
}

/// Target for a latency quantile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// The quantile, strictly between 0 and 1, for example `0.99`.
    #[schemars(schema_with = "fraction_schema")]
    pub quantile: Quantity,
    /// The latency that the quantile should not pass, for example `300ms`; at most 1h.
    #[x_kube(validation = (LATENCY_RANGE, "target must be a duration longer than 0s and of at most 1h, such as 300ms"))]
    pub target: GoDuration,
}

/// Target for CPU or memory: exactly one of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTarget {
    /// Percent of the pods' requests, averaged over the pods, for example 70.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub utilization: Option<i32>,
    /// Usage of one pod as a quantity: cores for `cpu`, bytes for `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "above_zero")]
    pub average_value: Option<Quantity>,
}

/// A query of one's own and its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prometheus {
    /// A PromQL expression whose result is a scalar or exactly one series, read as a total over all replicas.
    /// The operator adds `namespace="<the app's namespace>"` to every selector. An empty result, NaN and infinity
    /// are not zero: they mean that the metric is missing, and nothing scales in. What it averages over should be shorter
    /// than the stabilization window of scaling in, for which earlier results hold replicas after Prometheus was away.
    #[schemars(length(min = 1, max = 2048))]
    pub query: String,
    /// The part of the result that one replica should carry, as a quantity above 0.
    #[schemars(schema_with = "above_zero")]
    pub per_replica: Quantity,
}

const LATENCY_RANGE: &str =
    is_duration!("duration(self) > duration('0s')", "duration(self) <= duration('1h')");

fn fraction_schema(_: &mut SchemaGenerator) -> Schema {
    let mut schema = number_or_text();
    for (keyword, value) in
        [("exclusiveMinimum", json!(true)), ("maximum", json!(1)), ("exclusiveMaximum", json!(true))]
    {
        schema.insert(keyword.to_owned(), value);
    }
    schema
}
