//! The connections of a component's pods to a database. Pure.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The connection pool of each pod to a database of the app. The sum over all pods stays within what the server admits:
/// a component gets no more pods than there are connections for. Pods get the size as the file `DATABASE_<NAME>_POOL` in
/// the folder that the variable `SCALABLEAPP_SETTINGS` names, and read it again while they run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.minSize) || self.minSize <= self.size", "minSize must not be more than size"))]
pub struct ConnectionPool {
    /// Name of a database in `spec.databases`.
    #[schemars(length(min = 1, max = 20))]
    pub database: String,
    /// Maximum connections of the pool of each pod, 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub size: i32,
    /// Size to which the pools may shrink so that more pods fit, 1 to `size`. The pods must export the size that they use
    /// as `db_client_connection_max`. Default: `size`, so that they do not shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_size: Option<i32>,
    /// Connections of each pod beside its pool, for example for a listener, a lock or a migration, 0 to 1000. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub hidden_per_pod: Option<i32>,
}

impl ConnectionPool {
    /// Connections of each pod, at the size and at the smallest size.
    #[must_use]
    pub fn per_pod(&self) -> (i32, i32) {
        let hidden = self.hidden_per_pod.unwrap_or(0);
        let least = self.min_size.unwrap_or(self.size);
        (self.size.saturating_add(hidden), least.saturating_add(hidden))
    }
}

/// The connections that the server of a database admits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaxConnections {
    /// The server's setting `max_connections`, 1 to 262143. 3 of them are for superusers. Default: measured by the pods, as
    /// the series `db_server_connections_max`. Until one of these is known, services and workers with a connection pool
    /// grow to their minimum replicas only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 262_143))]
    pub limit: Option<i32>,
    /// Connections that the app leaves free for people, and for sessions that replace others, 0 to 262143. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 262_143))]
    pub reserve: Option<i32>,
}

impl MaxConnections {
    /// Connections that the app leaves free by default.
    pub const RESERVE: i32 = 5;
}
