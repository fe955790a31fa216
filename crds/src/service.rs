//! A stateless service and how it scales. Pure.

use crate::{
    Behavior, EnvVar, Fallback, Forecast, Metric, PodTemplate, Probes, Resources, Rollout, Schedule,
};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A stateless service: pods of one image behind one address, scaled as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.scaling) || !has(self.scaling.metrics) || has(self.metricsPort) || self.scaling.metrics.all(m, !has(m.requestRate) && !has(m.latency))", "requestRate and latency are read from the pods: set metricsPort to the port that serves /metrics")
)]
pub struct Service {
    /// Name of the component, unique within the app: lower case letters, digits and hyphens, at most 20.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (COMPONENT_NAME, "name must be lower case letters, digits and hyphens, start with a letter and not end with a hyphen"))]
    pub name: String,
    /// Image of this service. Default: the app's `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Entry point instead of the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub command: Vec<String>,
    /// Arguments of the entry point. Default: the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub args: Vec<String>,
    /// Environment of the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Port on which the container serves, and on which the Service `<app>-<component>` answers.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// Port on which the container serves `/metrics` for Prometheus; it may equal `port`. Default: not scraped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub metrics_port: Option<i32>,
    /// CPU and memory of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Health probes. Default: `/readyz` and `/livez` on `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// Any other field of a PodTemplateSpec: volumes, sidecars, node selectors, annotations.
    /// It is merged under what the operator owns, and a field that the operator owns is refused by name.
    /// The component's own container is named after the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// How many replicas, and by which metrics. Default: one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// How a new version replaces the old one. Default: rolling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

impl Service {
    /// The fewest and the most replicas, with their defaults.
    #[must_use]
    pub fn replica_bounds(&self) -> (i32, i32) {
        self.scaling
            .as_ref()
            .map_or((1, 1), |scaling| (scaling.min_replicas.unwrap_or(1), scaling.max_replicas))
    }
}

/// How many replicas, and by which metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.minReplicas) || self.minReplicas >= 1", "minReplicas must be at least 1: a service at zero replicas could not answer the request that should wake it"),
    validation = ("(has(self.minReplicas) ? self.minReplicas : 1) <= self.maxReplicas", "maxReplicas must not be less than minReplicas"),
    validation = ("has(self.metrics) || has(self.schedules) || (has(self.minReplicas) ? self.minReplicas : 1) == self.maxReplicas", "set at least one metric, or make minReplicas and maxReplicas equal for a fixed number of replicas"),
    validation = ("!has(self.metrics) || self.metrics.exists(m, !has(m.latency))", "latency cannot be the only metric: it may only ask for more replicas, so add requestRate, cpu, memory or prometheus"),
    validation = ("!has(self.forecast) || (has(self.metrics) && self.metrics.exists(m, has(m.requestRate) || has(m.prometheus)))", "a forecast needs a requestRate or prometheus metric: only a load that does not depend on the replicas can be foretold"),
    validation = ("!has(self.fallback) || has(self.metrics)", "a fallback stands in for missing metrics: add a metric, or remove the fallback"),
    validation = ("!has(self.fallback) || self.fallback.replicas <= self.maxReplicas", "fallback.replicas must not be more than maxReplicas")
)]
pub struct Scaling {
    /// The fewest replicas, at least 1. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub min_replicas: Option<i32>,
    /// The most replicas, 1 to 10000.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_replicas: i32,
    /// What decides between the two. Each metric proposes a number and the largest wins; while one is missing,
    /// nothing scales in. May be left out where `minReplicas` equals `maxReplicas`, or where schedules alone decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub metrics: Option<Vec<Metric>>,
    /// How fast replicas may change, in HPA v2's shape. Default: HPA v2's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
    /// Spans of time in which the fewest replicas are more than `minReplicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub schedules: Option<Vec<Schedule>>,
    /// Scaling for the load that is about to come. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    /// What to have while metrics are missing. Default: the replicas that there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// In words by CEL: a `pattern` in the schema would answer with the regular expression.
pub(crate) const COMPONENT_NAME: &str = "self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')";
