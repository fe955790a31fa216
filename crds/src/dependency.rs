//! What the services and workers of an app call, and how the state of its circuit breakers is read. Pure.

use crate::quantity::number_or_text;
use crate::service::COMPONENT_NAME;
use crate::{GoDuration, Quantity, duration::is_duration, limits};
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator};
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

/// How the state of circuit breakers is read from the metrics of the pods that have them: exactly one of `source` and
/// `prometheus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.source), has(self.prometheus)].filter(x, x).size() == 1", "set exactly one of source, prometheus"))]
#[x_kube(validation = ("!has(self.breaker) || has(self.source)", "leave out breaker: the query of prometheus selects it"))]
pub struct Circuit {
    /// What exports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<CircuitSource>,
    /// Name of the breaker in the metrics of `source`, at most 128 characters. Default: the name of the dependency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::BREAKER))]
    pub breaker: Option<String>,
    /// The result of your own Prometheus query, for breakers that no `source` reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<CircuitQuery>,
    /// When a pod leaves its Service that alone has an open breaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejection: Option<Ejection>,
}

/// When a pod leaves its Service that has an open breaker while most of its peers have a closed one. It gets no new
/// connections, and keeps those that it has. At most a third of the pods of a service leave; if more had to, none does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ejection {
    /// Time with an open breaker after which the pod leaves, 0s to 1h; 0s for at once. It returns when its breaker is closed,
    /// at the earliest after four times this, and after twice as long each further time. Default: 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (EJECTED_AFTER, "after must be a duration of 0s to 1h, such as 30s"))]
    pub after: Option<GoDuration>,
    /// Time with an open breaker after which the pod is evicted, if all of its peers are well, 0s to 24h; 0s for never. At
    /// most one pod of a component at a time. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (REPLACED_AFTER, "replaceAfter must be a duration of 0s to 24h, such as 5m"))]
    pub replace_after: Option<GoDuration>,
}

const EJECTED_AFTER: &str = is_duration!("duration(self) <= duration('1h')");
const REPLACED_AFTER: &str = is_duration!("duration(self) <= duration('24h')");

/// A Prometheus query for the state of circuit breakers, and what its values mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CircuitQuery {
    /// PromQL expression for the state of each pod's breaker, for example `max by (pod) (breaker_state{name="pay"})`. It
    /// must return one series for each pod, with the name of the pod as the label `pod`. The operator adds
    /// `namespace="<the app's namespace>"` to every selector. A pod without a series has an unknown state.
    #[schemars(length(min = 1, max = 2048))]
    pub query: String,
    /// What each value means, at most 16 values, `closed` and `open` among them. There is no default, because libraries
    /// number the states differently. A value that is not listed is implausible: the state of its pod is unknown.
    #[schemars(length(min = 2, max = limits::CIRCUIT_VALUES))]
    #[x_kube(validation = ("self.exists(x, x.state == 'closed') && self.exists(x, x.state == 'open')", "say which value is closed and which is open"))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub values: Vec<CircuitValue>,
}

/// What a value of a query means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CircuitValue {
    /// The value: a quantity of at least -1000, for example `0`, in thousandths.
    #[schemars(schema_with = "any_number")]
    pub value: Quantity,
    /// Its state.
    pub state: BreakerState,
}

/// State of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BreakerState {
    /// Calls are let through.
    Closed,
    /// No call is let through.
    Open,
    /// A few calls are let through, as probes.
    HalfOpen,
}

/// Also a negative one, which some libraries export for no state.
fn any_number(_: &mut SchemaGenerator) -> Schema {
    let mut schema = number_or_text();
    schema.insert("minimum".to_owned(), (-1000).into());
    schema
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
