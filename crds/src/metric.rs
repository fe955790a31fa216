//! The metrics of a component. Pure.

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

/// A metric with its target. Exactly one of `requestRate`, `latency`, `cpu`, `memory` and `prometheus` must be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.requestRate), has(self.latency), has(self.cpu), has(self.memory), has(self.prometheus)].filter(x, x).size() == 1", "set exactly one of requestRate, latency, cpu, memory, prometheus"))]
pub struct Metric {
    /// Name of the metric in status and messages, unique within the component: at most 20 lower case letters, digits
    /// and hyphens.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (COMPONENT_NAME, "name must be lower case letters, digits and hyphens, start with a letter and not end with a hyphen"))]
    pub name: String,
    /// HTTP requests per second, from the histogram `http_server_request_duration_seconds` at the component's
    /// `metricsPort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_rate: Option<RequestRate>,
    /// A quantile of HTTP latency, from the histogram `http_server_request_duration_seconds` at the component's
    /// `metricsPort`. It only ever scales up, and only while another metric of the component rises too: a slow database
    /// raises latency as well. So it cannot be the only metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// CPU usage of the component's pods, as measured by the kubelet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<ResourceTarget>,
    /// Memory usage of the component's pods: the working set, as measured by the kubelet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ResourceTarget>,
    /// The result of your own Prometheus query, for example the length of a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
}

/// Target for the request rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRate {
    /// Target: requests per second that one replica should serve. A quantity of at least 0.001, for example `50`,
    /// rounded up to thousandths.
    #[schemars(schema_with = "above_zero")]
    pub per_replica: Quantity,
}

/// Target for a latency quantile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Quantile of the latency, more than 0 and less than 1, for example `0.99`.
    #[schemars(schema_with = "fraction_schema")]
    pub quantile: Quantity,
    /// Target: latency at the quantile, more than 0s and at most 1h, for example `300ms`. A higher latency scales up.
    #[x_kube(validation = (LATENCY_RANGE, "target must be a duration longer than 0s and of at most 1h, such as 300ms"))]
    pub target: GoDuration,
}

/// Target for CPU or memory: exactly one of `utilization` and `averageValue`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTarget {
    /// Target: average usage of the pods in percent of their requests, 1 to 10000, for example 70. It needs a request
    /// in `resources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub utilization: Option<i32>,
    /// Target: average usage of a pod in cores for `cpu`, in bytes for `memory`. A quantity of at least 0.001, for
    /// example `250m` or `512Mi`, rounded up to thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "above_zero")]
    pub average_value: Option<Quantity>,
}

/// A Prometheus query and its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prometheus {
    /// PromQL expression for the total over all replicas, for example `sum(jobs_queue_depth)`. Its result must be a
    /// scalar or a single series; the operator adds `namespace="<the app's namespace>"` to every selector. An empty
    /// result, NaN or infinity counts as a missing metric, not as 0, and nothing scales in. A range such as `[5m]`
    /// should be shorter than the stabilization window for scaling down.
    #[schemars(length(min = 1, max = 2048))]
    pub query: String,
    /// Target: share of the total for one replica. The metric proposes the total divided by this, rounded up. A
    /// quantity of at least 0.001, rounded up to thousandths.
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
