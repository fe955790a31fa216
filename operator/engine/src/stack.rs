//! The declared app, as far as decisions depend on it. Pure.

use crate::bounds::fallback::Fallback;
use crate::bounds::schedule::Schedule;
use crate::forecast::Forecast;
use crate::hpa::behavior::Behavior;
use crate::propose::metric::Metric;
use crate::rollout::blue_green::BlueGreen;
use crate::rollout::canary::Canary;
use crate::rollout::rolling::Rolling;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The components of an app, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stack {
    /// The components, shared with the app that they were resolved from.
    pub components: BTreeMap<String, Arc<Component>>,
    /// What components call outside of the app, and components whose circuit breakers are read, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<String, Dependency>,
    /// The databases in which a component has a connection pool, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub databases: BTreeMap<String, Database>,
}

/// What the pods of a component call, and whose circuit breaker they report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// Whether a breaker is reported from its first call on only.
    pub appears_late: bool,
    /// When a pod leaves its Service that alone has an open breaker.
    #[serde(default)]
    pub ejection: Ejection,
}

/// When a pod leaves its Service that alone has an open breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ejection {
    /// Time after which it gets no requests.
    pub after: SignedDuration,
    /// Time after which it is replaced; zero if it never is.
    pub replace_after: SignedDuration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { after: SignedDuration::from_secs(30), replace_after: SignedDuration::from_mins(5) }
    }
}

/// The connections of a database that the app may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// The server's `max_connections`, if it is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i32>,
    /// Connections that the app leaves free, at least 0.
    pub reserve: i32,
}

/// The connections of each pod of a component to one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// Name of the database.
    pub database: String,
    /// Maximum connections of the pool, at least 1.
    pub size: i32,
    /// The smallest size that it may be told, 1 to `size`.
    pub min_size: i32,
    /// Connections beside the pool, at least 0.
    pub hidden_per_pod: i32,
}

/// A declared component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// The part that differs between tiers.
    pub workload: Workload,
    /// Minimum replicas: at least 1 for a service or a cache, at least 0 for a worker.
    pub min_replicas: i32,
    /// Maximum replicas, at least 1 and at least `min_replicas`.
    pub max_replicas: i32,
    /// Recurring times with more minimum replicas.
    pub schedules: Vec<Schedule>,
    /// Minimum replicas while a metric is missing; `None` where the current replicas stay.
    pub fallback: Option<Fallback>,
    /// How fast replicas may change, with defaults.
    pub behavior: Behavior,
    /// Hash of the declared revision.
    pub revision: String,
    /// How the declared revision replaces earlier ones.
    pub rolling: Rolling,
    /// How it is tried before that; `None` where it takes over at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// How it takes over at once, beside the earlier one; `None` where it does so otherwise. Not set with a canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
    /// Names of the dependencies and components that it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// The connection pool of each pod; `None` where no budget is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
}

/// What a component runs, and how its replicas are decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Workload {
    /// A stateless service.
    Service(Service),
    /// A pool of workers that take jobs from queues.
    Worker(Worker),
    /// A cache of shards.
    Cache(Cache),
    /// The read replicas of a database.
    ReadReplicas(ReadReplicas),
}

/// A stateless service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// The declared metrics, in order; empty for a fixed number of replicas, or with schedules alone.
    pub metrics: Vec<Metric>,
    /// The forecast of the load; `None` without one.
    pub forecast: Option<Forecast>,
}

/// A pool of workers. Each of its pods runs jobs of the same queues.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// The declared metrics, in order; empty for a fixed number of replicas, or with schedules alone. Without replicas
    /// only a backlog or a query can ask for the first one.
    pub metrics: Vec<Metric>,
}

/// A cache. Its replicas are shards, each with keys of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// The metrics, in order; empty for a fixed number of shards of a fixed memory.
    pub metrics: Vec<Metric>,
    /// Bytes up to which the memory of a shard grows before shards are added; `None` for a fixed memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<i64>,
}

/// The read replicas of a database. A replica is ready while it is eligible for reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadReplicas {
    /// The metrics, in order; empty for a fixed number of replicas.
    pub metrics: Vec<Metric>,
}

impl Workload {
    /// Place in the order of changes: caches, read replicas, services, workers. What others depend on comes first.
    #[must_use]
    pub fn place(&self) -> u8 {
        match self {
            Self::Cache(_) => 0,
            Self::ReadReplicas(_) => 1,
            Self::Service(_) => 2,
            Self::Worker(_) => 3,
        }
    }

    /// Whether it has data of its own, so that a change of its replicas loads the database.
    #[must_use]
    pub fn is_data(&self) -> bool {
        matches!(self, Self::Cache(_) | Self::ReadReplicas(_))
    }
}

impl Component {
    /// The declared metrics, in order.
    #[must_use]
    pub fn metrics(&self) -> &[Metric] {
        match &self.workload {
            Workload::Service(service) => &service.metrics,
            Workload::Worker(worker) => &worker.metrics,
            Workload::Cache(cache) => &cache.metrics,
            Workload::ReadReplicas(replicas) => &replicas.metrics,
        }
    }

    /// The forecast of the load; `None` without one. Only a service may have one.
    #[must_use]
    pub fn forecast(&self) -> Option<Forecast> {
        match &self.workload {
            Workload::Service(service) => service.forecast,
            Workload::Worker(_) | Workload::Cache(_) | Workload::ReadReplicas(_) => None,
        }
    }
}
