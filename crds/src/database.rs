//! A database of the app, and its read replicas. Pure.

use crate::service::COMPONENT_NAME;
use crate::{
    Cnpg, External, GoDuration, MaxConnections, PodTemplate, Quantity, Resources, duration::is_duration,
    quantity::above_zero,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A database that the app uses. Its services and workers get the variable `DATABASE_<NAME>_URL`: the name in upper
/// case, with `_` for `-`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// Name of the database, unique among the components of the app: at most 20 lower case letters, digits and
    /// hyphens, beginning with a letter and not ending with a hyphen.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (COMPONENT_NAME, "name must be lower case letters, digits and hyphens, start with a letter and not end with a hyphen"))]
    pub name: String,
    /// PostgreSQL, 15 or later.
    pub postgres: Postgres,
}

/// A PostgreSQL primary, which the operator neither runs nor connects to, and its read replicas. Set exactly one of
/// `primary`, `external` and `cnpg`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("[has(self.primary), has(self.external), has(self.cnpg)].filter(one, one).size() == 1", "set exactly one of primary, external, cnpg"),
    validation = ("!has(self.readReplicas) || has(self.primary)", "set readReplicas beside primary only: they are cloned from it")
)]
pub struct Postgres {
    /// A primary from which the operator may clone read replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<Primary>,
    /// A primary and read replicas that somebody else runs and scales, such as a managed PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// A Cluster of CloudNativePG, which the operator scales if it is told to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnpg: Option<Cnpg>,
    /// The connections that the primary admits, for the budget of all `connectionPool`s to this database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<MaxConnections>,
    /// Read replicas that are cloned from `primary` and stream from it. Services and workers get their address as
    /// `DATABASE_<NAME>_READ_HOST`, host and port. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_replicas: Option<ReadReplicas>,
}

/// Where the primary is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Primary {
    /// Secret with the address and a role. Only the kubelet reads it, never the operator. Read replicas use its
    /// `uriKey`, or else the keys `host`, `port`, `user` or `username`, `password` and `dbname`; their role needs
    /// `LOGIN` and `REPLICATION`.
    pub secret_ref: SecretRef,
    /// Key of the Secret with a URI such as `postgres://user:password@host:5432/shop`, for `DATABASE_<NAME>_URL` and
    /// the read replicas. Default: `uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub uri_key: Option<String>,
    /// Key of the Secret with the certificate authority of the primary, in PEM, for example `ca.crt`. With it, read
    /// replicas clone and stream by TLS only, and the certificate of the primary must be of this authority and for its
    /// host (`sslmode=verify-full`). It does not change `DATABASE_<NAME>_URL`. Default: none, and TLS as the URI says, or
    /// without a check of the certificate where the primary offers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ca_key: Option<String>,
}

/// A Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret in the app's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Read replicas: pods that clone the primary, stream from it and answer reads. They are never promoted. One is cloned
/// at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.min <= self.max", "max must not be less than min"),
    validation = ("self.min == self.max || has(self.target)", "set target, or make min and max equal for a fixed number of replicas")
)]
pub struct ReadReplicas {
    /// Minimum replicas, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub min: i32,
    /// Maximum replicas, 1 to 100, and no less than `min`. Each takes two of the primary's `max_wal_senders` while it is
    /// cloned, and one afterwards.
    #[schemars(range(min = 1, max = 100))]
    pub max: i32,
    /// Container image with `bash` and the programs of PostgreSQL, of the primary's major version, for example the
    /// official image `postgres:17`.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Largest lag behind the primary, in whole seconds, 1s to 1h. A replica with a larger lag gets no new connections
    /// from the read Service. Default: `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (LAG_RANGE, "maxLag must be a duration of 1s to 1h, such as 5s"))]
    pub max_lag: Option<GoDuration>,
    /// What replicas do while the primary does not answer. Default: `serve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_primary_is_gone: Option<WhenPrimaryIsGone>,
    /// Size of a PersistentVolumeClaim for each replica, for example `20Gi`; a replica keeps its copy over a restart.
    /// The claim is deleted when its replica leaves by scaling. Default: an emptyDir on the node. A later change is refused
    /// until the StatefulSet `<app>-<database>` is deleted, which the operator then creates again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "above_zero")]
    pub storage: Option<Quantity>,
    /// StorageClass of the claims. It needs `storage`, and a later change is refused as one of that. Default: that of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class: Option<String>,
    /// What happens to the claims when the read replicas or the app are removed, or the StatefulSet is deleted. Claims
    /// that were kept are used again by read replicas of the same name. It needs `storage`. Default: `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_policy: Option<StoragePolicy>,
    /// Resource requests and limits of PostgreSQL. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// TLS of the connections that the replicas accept. With it they accept no others. Default: none, and connections
    /// without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ReadReplicaTls>,
    /// What decides the number of replicas. Required unless `min` equals `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ReadReplicaTarget>,
    /// Image of the exporter of `activeQueries`. If it is set, the exporter runs without that target, too. Default:
    /// `docker.io/prometheuscommunity/postgres-exporter:v0.19.1`, and no exporter without `target.activeQueries`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub exporter_image: Option<String>,
    /// How a replica stops. Default: 30s for the queries that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<ReadReplicaDrain>,
    /// Any other fields of a PodTemplateSpec, as for a service. Default: pods of user and group 999, as in the official
    /// image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

/// What happens to claims when what uses them is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StoragePolicy {
    /// They are deleted.
    #[default]
    Delete,
    /// They are kept.
    Retain,
}

impl StoragePolicy {
    /// Its name, for example `Delete`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
        }
    }
}

/// What read replicas do while the primary does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenPrimaryIsGone {
    /// Replicas that were eligible for reads remain so, with data as old as the outage.
    #[default]
    Serve,
    /// They remain eligible until their lag passes `maxLag`. After 30 s their sessions end, too.
    Fail,
}

impl WhenPrimaryIsGone {
    /// Its name, for example `serve`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Fail => "fail",
        }
    }
}

/// What decides the number of read replicas. The largest proposal is used. While a metric is missing, nothing scales in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadReplicaTarget {
    /// Target: queries that run at the same time in one replica. A quantity of at least 0.001, for example `8`. An
    /// exporter beside PostgreSQL counts them. It reads `user` or `username` and `password` of the primary's Secret, and
    /// cannot use a URI. It sees the queries of its own role only, unless that is a member of `pg_monitor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "above_zero")]
    pub active_queries: Option<Quantity>,
    /// Target: average CPU usage of the pods in percent of their requests, 1 to 10000, for example 70. It needs a CPU
    /// request in `resources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub cpu_utilization: Option<i32>,
}

/// TLS of read replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadReplicaTls {
    /// Secret with the keys `tls.crt` and `tls.key`, as cert-manager writes it. The certificate must be for the host
    /// `<app>-<database>.<namespace>.svc`. Only the kubelet reads it. A change of it is followed.
    pub secret_ref: SecretRef,
}

/// How a read replica stops: it gets no new connections, closes idle ones, and ends when the others have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadReplicaDrain {
    /// Time from SIGTERM until the remaining connections are closed, in whole seconds, 1s to 1h, for example `2m`.
    #[x_kube(validation = (DRAIN_RANGE, "timeout must be a duration of 1s to 1h, such as 2m"))]
    pub timeout: GoDuration,
}

const LAG_RANGE: &str = is_duration!("duration(self) >= duration('1s')", "duration(self) <= duration('1h')");
const DRAIN_RANGE: &str =
    is_duration!("duration(self) >= duration('1s')", "duration(self) <= duration('1h')");
