//! A database of CloudNativePG, of which the app has the read replicas scaled. Pure.

use crate::Quantity;
use crate::quantity::above_zero;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A database of CloudNativePG. Services and workers get `DATABASE_<NAME>_URL` from the Secret `<cluster>-app`, key `uri`,
/// which CloudNativePG keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cnpg {
    /// The Cluster of CloudNativePG. It stays what its author made of it, except for its number of instances.
    pub cluster_ref: ClusterRef,
    /// Scales the Cluster: its instances are its primary and these read replicas. Services and workers get the address of
    /// its Service `<cluster>-ro` as `DATABASE_<NAME>_READ_HOST`, host and port. The operator must be allowed to, by
    /// `cnpg.enabled` of its chart. Default: nothing is scaled, and no such variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_replicas: Option<ClusterReplicas>,
}

/// A Cluster of CloudNativePG.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRef {
    /// Name of the Cluster in the app's namespace.
    #[schemars(length(min = 1, max = 50))]
    pub name: String,
}

/// Read replicas of a Cluster: its instances but for the primary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.min <= self.max", "max must not be less than min"),
    validation = ("self.min == self.max || has(self.target)", "set target, or make min and max equal for a fixed number of replicas")
)]
pub struct ClusterReplicas {
    /// Minimum replicas, 1 to 100. Where synchronous replication of the Cluster needs more, that is the minimum.
    #[schemars(range(min = 1, max = 100))]
    pub min: i32,
    /// Maximum replicas, 1 to 100, and no less than `min`. Where synchronous replication of the Cluster needs more, that
    /// is the maximum.
    #[schemars(range(min = 1, max = 100))]
    pub max: i32,
    /// What decides the number of replicas. Required unless `min` equals `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ClusterReplicaTarget>,
}

/// What decides the number of read replicas of a Cluster. While the metric is missing, nothing scales in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterReplicaTarget {
    /// Target: queries that run at the same time in one replica. A quantity of at least 0.001, for example `8`. The
    /// exporter of CloudNativePG counts them in each instance. Sessions of the users `postgres`, `streaming_replica` and
    /// `cnpg_metrics_exporter` do not count.
    #[schemars(schema_with = "above_zero")]
    pub active_queries: Quantity,
}
