//! A pool of workers and how it scales. Pure.

use crate::limits;
use crate::service::COMPONENT_NAME;
use crate::{
    Behavior, ConnectionPool, EnvVar, Fallback, GoDuration, Metric, PodTemplate, Probes, Resources, Schedule,
    WorkerRollout, duration::is_duration,
};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A pool of workers: pods with the same template that take jobs from queues, scaled together. It has no Service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.scaling.metrics) || self.scaling.metrics.all(m, !has(m.requestRate) && !has(m.latency))", "a worker serves no requests: scale it on backlog, cpu, memory or prometheus")
)]
pub struct Worker {
    /// Name of the component, unique within the app: at most 20 lower case letters, digits and hyphens, beginning with
    /// a letter and not ending with a hyphen.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (COMPONENT_NAME, "name must be lower case letters, digits and hyphens, start with a letter and not end with a hyphen"))]
    pub name: String,
    /// Container image of this worker. Default: the app's `image`.
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
    /// Port on which the container serves `/metrics` for Prometheus, `/livez` and `/readyz`. With the series
    /// `jobs_in_flight` there, from the start of each pod, the pods with the fewest running jobs leave first. Default:
    /// none, so that Prometheus does not scrape the pods, and they have no probes unless `probes` are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub metrics_port: Option<i32>,
    /// Resource requests and limits of the container. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Health probes of the container. Default: `GET /readyz` and `GET /livez` on `metricsPort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// Any other fields of a PodTemplateSpec, as for a service. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// The connections of each pod to a database. Default: none, so that no budget is kept for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPool>,
    /// Number of replicas, and what decides it.
    pub scaling: WorkerScaling,
    /// How a pod stops. Default: 30s for the jobs that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// Names of the dependencies and services of the app that the pods call, at most 8. Their circuit breakers count for
    /// the scaling of this component, and this component counts as a caller for the services. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::CALLS), inner(length(min = 1, max = limits::NAME)))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Set)]
    pub calls: Vec<String>,
    /// How new pods replace old ones when their template changes. Default: a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<WorkerRollout>,
}

impl Worker {
    /// Minimum and maximum replicas, with their defaults.
    #[must_use]
    pub fn replica_bounds(&self) -> (i32, i32) {
        (self.scaling.min_replicas.unwrap_or(0), self.scaling.max_replicas)
    }
}

/// How a worker stops: it takes no more jobs, completes those that it runs, and ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Time from SIGTERM for the jobs that the pod runs, in whole seconds, 1s to 24h, for example `10m`. The pods get it
    /// as the variable `DRAIN_TIMEOUT`, in seconds, and are killed 5 seconds later. It holds for a scale-in, a rollout and
    /// the drain of a node.
    #[x_kube(validation = (TIMEOUT_RANGE, "timeout must be a duration of 1s to 24h, such as 10m"))]
    pub timeout: GoDuration,
}

/// Number of replicas of a worker, and what decides it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("(has(self.minReplicas) ? self.minReplicas : 0) <= self.maxReplicas", "maxReplicas must not be less than minReplicas"),
    validation = ("has(self.backlog) || has(self.metrics) || has(self.schedules) || (has(self.minReplicas) ? self.minReplicas : 0) == self.maxReplicas", "set backlog or a metric, or make minReplicas and maxReplicas equal for a fixed number of replicas"),
    validation = ("has(self.backlog) || (has(self.metrics) && self.metrics.exists(m, has(m.prometheus))) || (has(self.minReplicas) && self.minReplicas > 0)", "minReplicas can be 0 only with backlog or a prometheus metric: cpu and memory of no pod cannot wake it"),
    validation = ("!has(self.metrics) || self.metrics.all(m, m.name != 'backlog')", "backlog is the name of the built-in metric: give this one another name"),
    validation = ("!has(self.fallback) || has(self.backlog) || has(self.metrics)", "a fallback needs backlog or a metric: add one, or remove the fallback"),
    validation = ("!has(self.fallback) || self.fallback.replicas <= self.maxReplicas", "fallback.replicas must not be more than maxReplicas")
)]
pub struct WorkerScaling {
    /// Minimum replicas, 0 to 10000. Default: 0, so that no pod runs while there is no job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub min_replicas: Option<i32>,
    /// Maximum replicas, 1 to 10000, and no less than `minReplicas`.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_replicas: i32,
    /// The jobs of the pool's queues. It proposes the replicas that keep up with new jobs and drain the backlog in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<Backlog>,
    /// Further metrics, 1 to 7 of them. The largest proposal is used. While a metric is missing, nothing scales in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 7))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub metrics: Option<Vec<Metric>>,
    /// How fast the number of replicas may change, as in HorizontalPodAutoscaler v2. The step to 0 waits for the
    /// scale-down stabilization window, too. Default: that of HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
    /// Recurring times with more minimum replicas, 1 to 16 of them. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub schedules: Option<Vec<Schedule>>,
    /// Minimum replicas while a metric is missing for long. Default: none, so that the current replicas stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// The jobs of a pool: replicas = (new jobs per second + waiting jobs / `drainWithin`) × seconds per job /
/// (0.8 × `concurrency`), rounded up. Exactly one of `queues` and `queries` says where they are measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.queues) != has(self.queries)", "set exactly one of queues, queries"),
    validation = ("!has(self.queries) || has(self.queries.secondsPerJob) || has(self.oldestWithin)", "set queries.secondsPerJob or oldestWithin: without both, nothing asks for a second pod")
)]
pub struct Backlog {
    /// Queues of the pool, 1 to 16, as the label `queue` of the series `jobs_queue_depth`, `jobs_oldest_age_seconds`,
    /// `jobs_enqueued_total`, `jobs_finished_total` and `job_duration_seconds` of any component of the app. A component
    /// that runs without workers must export the first three, or nothing wakes a pool of 0 replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Set)]
    pub queues: Option<Vec<String>>,
    /// Queries of your own, for queues whose series have other names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queries: Option<BacklogQueries>,
    /// Time within which the waiting jobs should be done, 1s to 24h, for example `60s`.
    #[x_kube(validation = (TIMES_RANGE, "drainWithin must be a duration of 1s to 24h, such as 60s"))]
    pub drain_within: GoDuration,
    /// Highest acceptable age of the oldest waiting job, 1s to 24h. An older one scales up. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (TIMES_RANGE, "oldestWithin must be a duration of 1s to 24h, such as 2m"))]
    pub oldest_within: Option<GoDuration>,
    /// Jobs that a pod runs at the same time, 1 to 1000. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub concurrency: Option<i32>,
}

/// PromQL expressions for the jobs of a pool. The result of each must be a scalar or a single series; the operator adds
/// `namespace="<the app's namespace>"` to every selector. A query without a result is unknown, not 0, and nothing scales
/// in. They must have a result while no worker runs, or nothing wakes a pool of 0 replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BacklogQueries {
    /// New jobs per second, for example `sum(rate(mails_published_total[1m]))`.
    #[schemars(length(min = 1, max = 2048))]
    pub arrivals_per_second: String,
    /// Jobs that wait, for example `sum(mails_ready)`.
    #[schemars(length(min = 1, max = 2048))]
    pub waiting: String,
    /// Age of the oldest waiting job in seconds, 0 without one, for example `max(mails_oldest_age_seconds)`.
    #[schemars(length(min = 1, max = 2048))]
    pub oldest_seconds: String,
    /// Jobs that run. Default: not known, so that the pool may go to 0 while jobs run; they have `drain.timeout` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub running: Option<String>,
    /// Jobs that ended, per second. Default: not known, so that the pool grows whether or not its throughput rises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub finished_per_second: Option<String>,
    /// Mean duration of a job in seconds. Without a result, or with NaN, because none ended, the last one counts.
    /// Default: not known, so that only `oldestWithin` asks for more than one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub seconds_per_job: Option<String>,
}

const TIMEOUT_RANGE: &str =
    is_duration!("duration(self) >= duration('1s')", "duration(self) <= duration('24h')");
const TIMES_RANGE: &str =
    is_duration!("duration(self) >= duration('1s')", "duration(self) <= duration('24h')");
