//! The loops around the pipeline: one that follows objects, one that follows time. I/O.

pub mod app_index;
mod diagnosis;
pub mod live;
pub mod memory;
pub mod overrides;
pub mod reconcile;
pub mod refusals;
#[cfg(test)]
mod rollout_tests;
mod status;
pub mod tick;

use crate::{
    apply::{events::Events, writer::Writer},
    kinds::Kind,
    observe::{
        cluster::{
            cached::{CachedChild, CachedWorkload},
            caches::{
                Cluster, GuardedApp, GuardedOverride, Scope, Touched, app_ref, overridden, reflect_children,
                reflect_overrides, reflect_pods, reflect_written,
            },
            children::OfApp,
            pods::CachedPod,
            postgres::{CachedCluster, Clusters, reflect_clusters},
            refusals::Refusals,
            routes::{CachedRoute, reflect_routes},
        },
        store::SampleStore,
    },
    runtime::{decision_log::DecisionLog, lease::Leadership},
};
use futures::{StreamExt, stream};
use kube::{
    Resource, ResourceExt,
    runtime::{
        Controller, controller,
        reflector::{ObjectRef, Store},
    },
};
use memory::Memories;
use scalableapp_crds::ScalableApp;
use std::{collections::BTreeMap, future::Future, sync::Arc};
use tokio::sync::mpsc;

/// Apps that are reconciled at the same time.
const CONCURRENCY: u16 = 8;

/// The shared parts of every pass.
pub struct Context {
    /// The caches of the API server.
    pub cluster: Cluster,
    /// The samples of Prometheus.
    pub samples: SampleStore,
    /// Sends all writes.
    pub writer: Writer,
    /// Publishes events.
    pub events: Events,
    /// The memory of each app.
    pub memories: Memories,
    /// The log of decisions with their inputs.
    pub decisions: DecisionLog,
}

/// The watches and their caches.
pub struct Watches {
    /// The caches.
    pub cluster: Cluster,
    apps: Touched<GuardedApp>,
    overrides: Touched<GuardedOverride>,
    workloads: Vec<(Kind, Touched<CachedWorkload>)>,
    others: Vec<(Kind, Touched<CachedChild>)>,
    pods: Touched<CachedPod>,
    clusters: Touched<CachedCluster>,
    routes: Touched<CachedRoute>,
}

impl Watches {
    /// Watches of these namespaces, which begin when the controller runs.
    #[must_use]
    pub fn new(scope: &Scope) -> Self {
        let (app_store, apps) = reflect_written(scope);
        let (override_store, overrides) = reflect_overrides(scope);
        let (pod_store, pods) = reflect_pods(scope);
        let (route_store, routes) = reflect_routes(scope);
        let (mut workload_stores, mut workloads) = (BTreeMap::new(), Vec::new());
        let (mut other_stores, mut others) = (BTreeMap::new(), Vec::new());
        for kind in Kind::ALL {
            if kind.is_workload() {
                let (store, touched) = reflect_children(scope, kind);
                workload_stores.insert(kind, store);
                workloads.push((kind, touched));
            } else {
                let (store, touched) = reflect_children(scope, kind);
                other_stores.insert(kind, store);
                others.push((kind, touched));
            }
        }
        let cluster = Cluster {
            apps: app_store,
            overrides: override_store,
            workloads: workload_stores,
            others: other_stores,
            pods: pod_store,
            clusters: Clusters::off(),
            routes: route_store,
            refusals: Refusals::new(scope.client.clone()),
        };
        let clusters = Box::pin(stream::pending());
        Self { cluster, apps, overrides, workloads, others, pods, clusters, routes }
    }

    /// With the Clusters of CloudNativePG.
    #[must_use]
    pub fn with_clusters(mut self, scope: &Scope) -> Self {
        (self.cluster.clusters, self.clusters) = reflect_clusters(scope);
        self
    }
}

/// Follows objects until `shutdown`, and reconciles the apps of `triggers`. Ends after the running reconciles.
pub async fn run(
    context: Arc<Context>,
    watches: Watches,
    triggers: mpsc::Receiver<ObjectRef<GuardedApp>>,
    leadership: Leadership,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let triggers = futures::stream::unfold(triggers, |mut triggers| async {
        triggers.recv().await.map(|object| (object, triggers))
    });
    // A standby reconciles nothing, so a new leader reconciles everything once.
    let leading = futures::stream::unfold((leadership, false), |(leadership, leads)| async move {
        if leads {
            leadership.lost().await;
        }
        leadership.gained().await;
        Some(((), (leadership, true)))
    });
    // Not by owner alone, because somebody may have removed it.
    let apps = watches.cluster.apps.clone();
    let controller = Controller::for_stream(watches.apps, apps.clone());
    let workloads = watches.workloads.into_iter();
    let controller = workloads.fold(controller, |controller, (kind, touched)| {
        controller.watches_stream_with(touched, |child| app_of(&child), kind)
    });
    let others = watches.others.into_iter();
    others
        .fold(controller, |controller, (kind, touched)| {
            controller.watches_stream_with(touched, |child| app_of(&child), kind)
        })
        .watches_stream(watches.pods, |pod| app_of(&pod))
        .watches_stream_with(watches.routes, |route| app_of(&route), Kind::HttpRoute)
        .watches_stream(watches.overrides, |one| {
            overridden(&one).map(|(namespace, app)| app_ref(namespace, app))
        })
        .watches_stream_with(watches.clusters, move |cluster| scalers_of(&apps, &cluster), Kind::Cluster)
        .reconcile_on(triggers)
        .reconcile_all_on(leading)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(shutdown)
        .run(reconcile::reconcile, reconcile::on_error, context)
        .for_each(|result| async {
            match result {
                Ok(_)
                | Err(controller::Error::ObjectNotFound(_) | controller::Error::ReconcilerFailed(..)) => {}
                Err(error) => tracing::warn!(%error, "a watch failed and will be restarted"),
            }
        })
        .await;
}

/// The app of a child or of a pod, by its labels, or by its owner where somebody removed those. A pod's owner is its
/// ReplicaSet.
fn app_of<K: OfApp + Resource>(object: &K) -> Option<ObjectRef<GuardedApp>> {
    let metadata = object.meta();
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = || owners.find(|owner| owner.kind == ScalableApp::kind(&())).map(|owner| owner.name.as_str());
    Some(ObjectRef::new(object.app().or_else(owner)?).within(metadata.namespace.as_deref()?))
}

/// The apps that scale a Cluster.
fn scalers_of(apps: &Store<GuardedApp>, cluster: &CachedCluster) -> Vec<ObjectRef<GuardedApp>> {
    let namespace = cluster.namespace().unwrap_or_default();
    let name = cluster.name_any();
    let scales = |app: &&ScalableApp| {
        app.namespace().as_deref() == Some(&*namespace) && app.spec.scaled_clusters().any(|one| one == name)
    };
    let apps = apps.state();
    let apps = apps.iter().filter_map(|guarded| guarded.0.as_ref().ok()).filter(scales);
    apps.map(|app| app_ref(&namespace, &app.name_any())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_child_without_its_labels_or_its_owner_is_its_apps_all_the_same() {
        let of = |labels: serde_json::Value, owners: serde_json::Value| {
            let metadata = json!({"name": "shop-web", "namespace": "store", "labels": labels, "ownerReferences": owners});
            let child: CachedChild = serde_json::from_value(json!({"metadata": metadata})).expect("a child");
            app_of(&child).map(|app| (app.namespace.unwrap_or_default(), app.name))
        };
        let labels = json!({"scalableapp.dev/app": "shop"});
        let owners = json!([{
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": "shop", "uid": "1",
            "controller": true,
        }]);
        let shop = Some(("store".to_owned(), "shop".to_owned()));
        assert_eq!([of(labels, json!([])), of(json!({}), owners)], [shop.clone(), shop]);
        assert_eq!(of(json!({}), json!([])), None);
    }
}
