//! The Clusters of CloudNativePG, whose definition may be missing: nothing else waits for them. I/O in, by a watch.

use super::access::{Access, told};
use super::cached::CachedChild;
use super::caches::{Scope, Touched};
use crate::kinds::Kind;
use futures::{StreamExt, future::ready};
use kube::Api;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A cached Cluster.
pub type CachedCluster = CachedChild<ClusterPart>;

/// The fields of a Cluster that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClusterPart {
    /// The spec.
    pub spec: ClusterSpecPart,
    /// The status.
    pub status: ClusterStatusPart,
    /// The field manager of its instances, unless that is this operator.
    #[serde(rename = "metadata", deserialize_with = "super::cached::other_scaler")]
    pub scaled_by: Option<Box<str>>,
}

/// The fields of a Cluster's spec that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterSpecPart {
    /// The primary and its replicas; `None` means one.
    pub instances: Option<i32>,
    /// Least synchronous replicas.
    pub min_sync_replicas: i32,
    /// Most synchronous replicas, of which there must be as many instances and one.
    pub max_sync_replicas: i32,
    /// The configuration of PostgreSQL.
    pub postgresql: PostgresqlPart,
}

/// The fields of the configuration of PostgreSQL that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PostgresqlPart {
    /// Synchronous replication; `None` without it.
    pub synchronous: Option<Synchronous>,
}

/// Synchronous replication.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Synchronous {
    /// Replicas that confirm each commit.
    pub number: i32,
    /// Such replicas outside of the Cluster.
    pub standby_names_pre: Vec<IgnoredAny>,
    /// More of them.
    pub standby_names_post: Vec<IgnoredAny>,
}

/// The fields of a Cluster's status that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterStatusPart {
    /// Existing instances.
    pub instances: i32,
    /// Ready instances.
    pub ready_instances: i32,
    /// What CloudNativePG does with it, in its words; empty before it has seen it.
    pub phase: String,
    /// The primary.
    pub current_primary: String,
    /// The primary that it should have.
    pub target_primary: String,
    /// Names of the instances by their state.
    pub instances_status: BTreeMap<String, Vec<String>>,
}

/// The cache. Cheap to clone.
#[derive(Clone)]
pub struct Clusters {
    store: Store<CachedCluster>,
    access: Arc<RwLock<Access>>,
}

impl Clusters {
    /// Nothing is read.
    #[must_use]
    pub fn off() -> Self {
        Self { store: Writer::new(Kind::Cluster).as_reader(), access: Arc::default() }
    }

    /// The Cluster of this name, or why there is none.
    ///
    /// # Errors
    /// What is known of the Clusters; [`Access::Listed`] if it does not exist.
    pub fn get(&self, namespace: &str, name: &str) -> Result<Arc<CachedCluster>, Access> {
        match *self.access.read().unwrap_or_else(PoisonError::into_inner) {
            Access::Listed => {
                let key = ObjectRef::new_with(name, Kind::Cluster).within(namespace);
                self.store.get(&key).ok_or(Access::Listed)
            }
            access => Err(access),
        }
    }

    fn note(&self, event: &watcher::Result<watcher::Event<CachedCluster>>) {
        let Some(access) = told(event) else { return };
        let mut known = self.access.write().unwrap_or_else(PoisonError::into_inner);
        if *known != access {
            tracing::info!(?access, "Clusters of CloudNativePG");
            *known = access;
        }
    }
}

/// The cache of the Clusters, and the stream that fills it. The stream has no errors: a missing definition is no fault.
#[must_use]
pub fn reflect_clusters(scope: &Scope) -> (Clusters, Touched<CachedCluster>) {
    let writer = Writer::new(Kind::Cluster);
    let access = Arc::new(RwLock::new(Access::Unlisted));
    let clusters = Clusters { store: writer.as_reader(), access };
    let kind = Kind::Cluster;
    let events = scope.watch(
        move |client| Api::all_with(client, &kind),
        move |client, namespace| Api::namespaced_with(client, namespace, &kind),
        &watcher::Config::default(),
        writer.as_reader(),
    );
    let noting = clusters.clone();
    let reflected = events.reflect(writer).inspect(move |event| noting.note(event));
    let touched =
        reflected.touched_objects().filter_map(|touched| ready(touched.ok().map(Ok::<_, watcher::Error>)));
    (clusters, Box::pin(touched))
}
