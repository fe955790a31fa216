//! A stateless service and how it scales. Pure.

use crate::limits;
use crate::{
    Behavior, ConnectionPool, EnvVar, Fallback, Forecast, Metric, PodTemplate, Probes, Resources, Rollout,
    Route, Schedule,
};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A stateless service: pods with the same template behind one Service, scaled together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.scaling) || !has(self.scaling.metrics) || has(self.metricsPort) || self.scaling.metrics.all(m, !has(m.requestRate) && !has(m.latency))", "requestRate and latency are read from the pods: set metricsPort to the port that serves /metrics"),
    validation = ("!has(self.rollout) || !has(self.rollout.canary) || has(self.metricsPort)", "a canary is judged by the requests of its pods: set metricsPort to the port that serves /metrics"),
    validation = ("!has(self.rollout) || !has(self.rollout.canary) || has(self.route) || self.rollout.canary.steps.all(s, s.weight <= 50)", "a weight above 50 needs a route: without one the pods of the canary would have to be more than the others")
)]
pub struct Service {
    /// Name of the component, unique within the app: at most 20 lower case letters, digits and hyphens, beginning with
    /// a letter and not ending with a hyphen.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (COMPONENT_NAME, "name must be lower case letters, digits and hyphens, start with a letter and not end with a hyphen"))]
    pub name: String,
    /// Container image of this service. Default: the app's `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Entry point of the container. Default: that of the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub command: Vec<String>,
    /// Arguments of the entry point. Default: those of the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub args: Vec<String>,
    /// Environment variables of the container. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Port on which the container listens. The Service `<app>-<component>` has the same port.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// Port on which the container serves `/metrics` for Prometheus; it may be the same as `port`. Default: none, so
    /// that Prometheus does not scrape the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub metrics_port: Option<i32>,
    /// Resource requests and limits of the container. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Health probes of the container. Default: `GET /readyz` and `GET /livez` on `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// Any other fields of a PodTemplateSpec under `metadata` and `spec`: volumes, sidecars, node selectors,
    /// annotations. The component's container has the name of the component, and its fields go under that name in
    /// `spec.containers`. A field that the operator sets itself is refused, and the message says what to use instead.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// The connections of each pod to a database. Default: none, so that no budget is kept for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPool>,
    /// Number of replicas, and the metrics that decide it. Default: one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Names of the dependencies and services of the app that the pods call, at most 8. Their circuit breakers count for
    /// the scaling of this component, and this component counts as a caller for the services. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::CALLS), inner(length(min = 1, max = limits::NAME)))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Set)]
    pub calls: Vec<String>,
    /// How new pods replace old ones when their template changes. Default: a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// How requests from outside reach the service, by Gateway API. Default: none, so that only its Service has an
    /// address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
}

impl Service {
    /// Minimum and maximum replicas, with their defaults.
    #[must_use]
    pub fn replica_bounds(&self) -> (i32, i32) {
        self.scaling
            .as_ref()
            .map_or((1, 1), |scaling| (scaling.min_replicas.unwrap_or(1), scaling.max_replicas))
    }

    /// Whether a new revision takes over in steps that people can act on: as a canary, or blue-green.
    #[must_use]
    pub fn rolls_out_in_steps(&self) -> bool {
        self.rollout.as_ref().is_some_and(|one| one.canary.is_some() || one.blue_green.is_some())
    }
}

/// Number of replicas, and the metrics that decide it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.minReplicas) || self.minReplicas >= 1", "minReplicas must be at least 1: a service at zero replicas could not answer the request that should wake it"),
    validation = ("(has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas", "maxReplicas must not be less than minReplicas"),
    validation = ("has(self.metrics) || has(self.schedules) || (has(self.minReplicas) ? self.minReplicas : 1) == self.maxReplicas", "set at least one metric, or make minReplicas and maxReplicas equal for a fixed number of replicas"),
    validation = ("!has(self.metrics) || self.metrics.exists(m, !has(m.latency))", "latency cannot be the only metric: it only scales up, so add requestRate, cpu, memory or prometheus"),
    validation = ("!has(self.forecast) || (has(self.metrics) && self.metrics.exists(m, has(m.requestRate) || has(m.prometheus)))", "a forecast needs a requestRate or prometheus metric: only a load that does not depend on the number of replicas can be predicted"),
    validation = ("!has(self.fallback) || has(self.metrics)", "a fallback needs a metric: add one, or remove the fallback"),
    validation = ("!has(self.fallback) || self.fallback.replicas <= self.maxReplicas", "fallback.replicas must not be more than maxReplicas")
)]
pub struct Scaling {
    /// Minimum replicas, 1 to 10000. Default: 1. 0 is refused: no pod could answer the request that would scale up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub min_replicas: Option<i32>,
    /// Maximum replicas, 1 to 10000, and no less than `minReplicas`.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_replicas: i32,
    /// Metrics that decide the number of replicas between `minReplicas` and `maxReplicas`, 1 to 8 of them. Each metric
    /// proposes a number of replicas, and the largest proposal is used. While a metric is missing, nothing scales in.
    /// Required unless `minReplicas` equals `maxReplicas` or `schedules` are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub metrics: Option<Vec<Metric>>,
    /// How fast the number of replicas may change, as in HorizontalPodAutoscaler v2. Default: that of
    /// HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
    /// Recurring times with more minimum replicas, such as office hours, 1 to 16 of them. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub schedules: Option<Vec<Schedule>>,
    /// Scaling up ahead of the predicted load. It needs a `requestRate` or `prometheus` metric. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    /// Minimum replicas while a metric is missing for long. Default: none, so that the current replicas stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// A CEL rule, because a `pattern` in the schema would answer with the regular expression.
pub(crate) const COMPONENT_NAME: &str = "self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')";
