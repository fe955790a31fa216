//! `ScalableApp`: the stack that a team declares. Pure.

use crate::{Cache, Database, Dependency, External, ScalableAppStatus, Service, Worker};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Desired state of the app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "scalableapp.dev",
    version = "v1alpha1",
    kind = "ScalableApp",
    namespaced,
    status = "ScalableAppStatus",
    derive = "PartialEq",
    shortname = "sapp",
    category = "scalable",
    doc = "An application of services, workers and caches that the operator runs and scales.",
    validation = ("self.metadata.name.size() <= 30 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')", "metadata.name must be at most 30 lower case letters, digits and hyphens, and start with a letter: it becomes part of the names of Services and Deployments"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Replicas", type_ = "string", json_path = ".status.replicas", description = "Ready and desired replicas of all components."),
    printcolumn(name = "Limited-By", type_ = "string", json_path = ".status.limitedBy", description = "What limits the replicas, and of which component."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Metrics", type_ = "string", json_path = ".status.conditions[?(@.type==\"MetricsAvailable\")].status", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.image) || ((!has(self.services) || self.services.all(s, has(s.image))) && (!has(self.workers) || self.workers.all(w, has(w.image))))", "set image, or an image for each service and worker"),
    validation = ("(has(self.services) && size(self.services) > 0) || (has(self.workers) && size(self.workers) > 0)", "add at least one service or worker"),
    validation = ("(has(self.services) ? size(self.services) : 0) + (has(self.workers) ? size(self.workers) : 0) + (has(self.caches) ? size(self.caches) : 0) + (has(self.databases) ? size(self.databases) : 0) <= 20", "use at most 20 components: services, workers, caches and databases together"),
    validation = ("!has(self.services) || !has(self.workers) || self.workers.all(w, !self.services.exists(s, s.name == w.name))", "give each service and worker a name of its own"),
    validation = ("!has(self.caches) || self.caches.all(c, (!has(self.services) || !self.services.exists(s, s.name == c.name)) && (!has(self.workers) || !self.workers.exists(w, w.name == c.name)))", "give each cache a name that no service or worker has"),
    validation = ("!has(self.databases) || self.databases.all(d, (!has(self.services) || !self.services.exists(s, s.name == d.name)) && (!has(self.caches) || !self.caches.exists(c, c.name == d.name)) && (!has(self.workers) || !self.workers.exists(w, w.name == d.name)))", "give each database a name that no service, worker or cache has")
)]
pub struct ScalableAppSpec {
    /// Container image of every service and worker that sets no `image` of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Stateless services of the app, at most 20. Each has its own pods, Service and scaling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<Service>,
    /// Pools of workers of the app, at most 20. Each has its own pods and scaling, and no Service. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub workers: Vec<Worker>,
    /// Caches of the app, at most 20, for its services and workers alone. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub caches: Vec<Cache>,
    /// Databases of the app, at most 20. One with read replicas has its own pods, Service and scaling. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub databases: Vec<Database>,
    /// What services and workers call and list in `calls`, at most 20. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub dependencies: Vec<Dependency>,
}

impl ScalableAppSpec {
    /// Name, minimum and maximum replicas of each component, with their defaults, in the order of the spec.
    pub fn replica_bounds(&self) -> impl Iterator<Item = (&str, (i32, i32))> {
        let services = self.services.iter().map(|one| (one.name.as_str(), one.replica_bounds()));
        let workers = self.workers.iter().map(|one| (one.name.as_str(), one.replica_bounds()));
        let caches = self.caches.iter().map(|one| (one.name.as_str(), one.replica_bounds()));
        let databases = self.databases.iter().filter_map(|one| {
            let own = one.postgres.read_replicas.as_ref().map(|replicas| (replicas.min, replicas.max));
            let of_cluster = || one.postgres.cnpg.as_ref()?.read_replicas.as_ref();
            let bounds = own.or_else(|| of_cluster().map(|replicas| (replicas.min, replicas.max)))?;
            Some((one.name.as_str(), bounds))
        });
        services.chain(workers).chain(caches).chain(databases)
    }

    /// Names of the Clusters of CloudNativePG that the app has scaled.
    pub fn scaled_clusters(&self) -> impl Iterator<Item = &str> {
        let clusters = self.databases.iter().filter_map(|one| one.postgres.cnpg.as_ref());
        clusters.filter(|one| one.read_replicas.is_some()).map(|one| one.cluster_ref.name.as_str())
    }

    /// What becomes of the databases that somebody else runs, a sentence each.
    pub fn external_databases(&self) -> impl Iterator<Item = String> {
        let external = self.databases.iter().filter(|one| one.postgres.external.is_some());
        external.map(|one| External::sentence(&one.name))
    }
}
