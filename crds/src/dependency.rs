//! What the services and workers of an app call, and how the state of its circuit breakers is read. Pure.

use crate::limits;
use crate::service::COMPONENT_NAME;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What services and workers call, and list in `calls`. While its circuit breakers are open, none of their replicas is
/// removed, and none is added because calls wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// Name of the dependency, unique among them: at most 20 lower case letters, digits and hyphens, beginning with a
    /// letter and not ending with a hyphen. It may be the name of a service of the app, whose callers have a breaker for it.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (COMPONENT_NAME, "name must be lower case letters, digits and hyphens, start with a letter and not end with a hyphen"))]
    pub name: String,
    /// How its circuit breakers are read.
    pub circuit: Circuit,
}

/// How the state of circuit breakers is read from the metrics of the pods that have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Circuit {
    /// What exports it.
    pub source: CircuitSource,
    /// Name of the breaker in the metrics, at most 128 characters. Default: the name of the dependency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::BREAKER))]
    pub breaker: Option<String>,
}

/// What exports the state of circuit breakers. Prometheus must scrape it with the labels `namespace`, `pod`, `scalableapp`
/// and `component`, those of sidecars, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CircuitSource {
    /// The app itself: `circuit_breaker_state` with the labels `name` and `state`, which is `closed`, `half_open` or
    /// `open`. One of the three series is 1, the others are 0, from the start of the pod on.
    App,
    /// resilience4j with Micrometer: `resilience4j_circuitbreaker_state`. The breaker is its label `name`.
    Resilience4j,
    /// opossum with opossum-prometheus, without a prefix: `circuit`. The breaker is its label `name`.
    Opossum,
    /// Hystrix: `hystrix_circuit_breaker_open` of Micrometer, with the breaker as its label `key`, or
    /// `hystrix_command_is_circuit_breaker_open` of the Prometheus bridge, with the breaker as its label `command_name`.
    Hystrix,
    /// Polly 8 with its meter: `resilience_polly_strategy_events_total`. The breaker is its label `pipeline_name`.
    Polly,
    /// sentinel-golang with an exporter address: `sentinel_go_circuit_breaker_state_changed_total`. The breaker is its label
    /// `resource`.
    Sentinel,
    /// The sidecar of dapr: `dapr_resiliency_cb_state`. The breaker is its label `target`, such as `app_payments`.
    Dapr,
    /// The proxy of linkerd: `outbound_http_balancer_endpoints`. The breaker is its label `backend_name`. It is open where
    /// endpoints are pending and none was ready in the averaging window.
    Linkerd,
    /// Envoy, or a proxy of Istio that exports outlier detection. The breaker is the label `envoy_cluster_name` or
    /// `cluster_name`. It is open where half of the endpoints are ejected. A full limit, which Envoy calls an open circuit
    /// breaker, is not.
    Envoy,
}
