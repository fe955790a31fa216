//! The operator's caches of the API server: apps, children and pods. I/O in, by watches alone.

use futures::{Stream, StreamExt, TryStreamExt, future::ready};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::NamespaceResourceScope,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store, store::WriterDropped},
        watcher,
    },
};
use scalableapp_crds::{Guarded, ScalableApp, ScalingOverride};
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    hash::Hash,
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

use super::{
    cached::{CachedChild, CachedWorkload},
    children::{Children, OfApp, Siblings},
    labelled::Labelled,
    merged::{WatchEvents, merged},
    named::NamedCluster,
    pods::CachedPod,
    postgres::Clusters,
    refusals::Refusals,
    routes::{ObservedRoutes, Routes},
    shortages::PodRefusal,
};
use crate::{
    kinds::{Kind, OfKind},
    labels,
};

/// An app from a watch: an unreadable object is still an object, and does not affect others.
pub type GuardedApp = Guarded<ScalableApp>;

/// An override from a watch. An unreadable one has no effect, and its condition reports that.
pub type GuardedOverride = Guarded<ScalingOverride>;

/// Interval of the checks of a cache that may be ready without a notification.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Objects per page of a list. A page is held twice before its first object is reduced: with the largest objects of all
/// kinds at once, that is 32 MiB.
const PAGE: u32 = 8;

/// The caches.
#[derive(Clone)]
pub struct Cluster {
    /// The apps.
    pub apps: Store<GuardedApp>,
    /// The overrides.
    pub overrides: Children<GuardedOverride>,
    /// The operator's workloads of each kind.
    pub workloads: BTreeMap<Kind, Children<CachedWorkload>>,
    /// The children of every other kind.
    pub others: BTreeMap<Kind, Children<CachedChild>>,
    /// Pods of the operator's workloads.
    pub pods: Children<CachedPod>,
    /// The Clusters of CloudNativePG.
    pub clusters: Clusters,
    /// The HTTPRoutes of the apps.
    pub routes: Routes,
    /// Why StatefulSets lack pods.
    pub refusals: Refusals,
}

/// The cached objects of one app.
#[derive(Clone, Default)]
pub struct Observed {
    /// Its workloads of each kind, in the order of their names.
    pub workloads: BTreeMap<Kind, Siblings<CachedWorkload>>,
    /// Its pods, in the order of their names.
    pub pods: Siblings<CachedPod>,
    /// Its Services, in the order of their names.
    pub services: Siblings<CachedChild>,
    /// Its overrides, in force or not.
    pub overrides: Siblings<GuardedOverride>,
    /// The Clusters of CloudNativePG that it has scaled, by name.
    pub clusters: BTreeMap<String, NamedCluster>,
    /// Its HTTPRoutes.
    pub routes: ObservedRoutes,
    /// Why its StatefulSets lack pods, by their names.
    pub refusals: BTreeMap<String, PodRefusal>,
}

impl Cluster {
    /// Waits until every cache has its first list.
    ///
    /// # Errors
    /// When a watch has ended, which happens only at shutdown.
    pub async fn synced(&self) -> Result<(), WriterDropped> {
        // A store wakes only the last of its waiters, and the controller waits for the apps, too.
        while let Err(_elapsed) = timeout(LOOK_AGAIN, self.apps.wait_until_ready()).await {}
        self.apps.wait_until_ready().await?;
        self.overrides.synced().await?;
        for workloads in self.workloads.values() {
            workloads.synced().await?;
        }
        for children in self.others.values() {
            children.synced().await?;
        }
        self.pods.synced().await
    }

    /// The cached objects of one app.
    #[must_use]
    pub fn of_app(&self, app: &ScalableApp) -> Observed {
        let (namespace, name) = (app.namespace().unwrap_or_default(), app.name_any());
        let clusters = app.spec.scaled_clusters().map(|cluster| {
            let found = self.clusters.get(&namespace, cluster);
            (cluster.to_owned(), NamedCluster { found, scaled_by: self.older_scaler(app, cluster) })
        });
        let workloads: BTreeMap<_, _> =
            self.workloads.iter().map(|(kind, all)| (*kind, all.of_app(&namespace, &name))).collect();
        let stateful_sets = workloads.get(&Kind::StatefulSet).into_iter().flat_map(|all| all.iter());
        let refusal = |one: &Arc<CachedWorkload>| Some((one.name_any(), self.refusals.of(one)?));
        Observed {
            refusals: stateful_sets.filter_map(refusal).collect(),
            workloads,
            pods: self.pods.of_app(&namespace, &name),
            services: self
                .others
                .get(&Kind::Service)
                .map(|services| services.of_app(&namespace, &name))
                .unwrap_or_default(),
            overrides: self.overrides.of_app(&namespace, &name),
            clusters: clusters.collect(),
            routes: ObservedRoutes {
                access: self.routes.access(),
                routes: self.routes.of_app(&namespace, &name),
            },
        }
    }

    /// The oldest app before this one that scales the same Cluster.
    fn older_scaler(&self, app: &ScalableApp, cluster: &str) -> Option<String> {
        let age = |app: &ScalableApp| {
            (app.metadata.creation_timestamp.as_ref().map(|time| time.0), app.metadata.uid.clone())
        };
        let own = age(app);
        let apps = self.apps.state();
        let others = apps.iter().filter_map(|guarded| guarded.0.as_ref().ok()).filter(|other| {
            other.metadata.namespace == app.metadata.namespace
                && other.metadata.deletion_timestamp.is_none()
                && other.spec.scaled_clusters().any(|one| one == cluster)
                && age(other) < own
        });
        others.min_by_key(|other| age(other)).map(|other| other.name_any())
    }
}

impl Observed {
    /// The workloads of one kind of one component, in the order of their names.
    pub fn workloads_of(&self, kind: Kind, component: &str) -> impl Iterator<Item = &Arc<CachedWorkload>> {
        self.workloads.get(&kind).into_iter().flat_map(move |all| of_component(all, component))
    }

    /// The readable overrides, in force or not.
    pub fn readable_overrides(&self) -> impl Iterator<Item = &ScalingOverride> {
        self.overrides.iter().filter_map(|one| one.0.as_ref().ok())
    }

    /// The pods of one component, in the order of their names.
    pub fn pods_of(&self, component: &str) -> impl Iterator<Item = &Arc<CachedPod>> {
        of_component(&self.pods, component)
    }
}

fn of_component<'a, K: Labelled>(objects: &'a [Arc<K>], component: &str) -> impl Iterator<Item = &'a Arc<K>> {
    objects.iter().filter(move |object| object.component() == Some(component))
}

/// The stream of a watch, with each changed object, deleted ones included.
pub type Touched<K> = Pin<Box<dyn Stream<Item = watcher::Result<K>> + Send>>;

/// Namespace and name of an override's app.
#[must_use]
pub fn overridden(guarded: &GuardedOverride) -> Option<(&str, &str)> {
    let one = guarded.0.as_ref().ok()?;
    Some((one.metadata.namespace.as_deref()?, one.spec.app.as_str()))
}

impl OfApp for GuardedOverride {
    fn app(&self) -> Option<&str> {
        Some(self.0.as_ref().ok()?.spec.app.as_str())
    }
}

/// The watched namespaces: these, or all but the excluded ones.
#[derive(Clone)]
pub struct Scope {
    pub(crate) client: Client,
    namespaces: Vec<String>,
    /// Field selector that leaves the excluded namespaces out.
    selector: Option<String>,
}

impl Scope {
    /// `namespaces` are the watched ones; all without one.
    #[must_use]
    pub fn new(client: Client, namespaces: &[String]) -> Self {
        Self { client, namespaces: set(namespaces).into_iter().cloned().collect(), selector: None }
    }

    /// All namespaces but these.
    #[must_use]
    pub fn all_but(client: Client, excluded: &[String]) -> Self {
        let terms: Vec<String> =
            set(excluded).into_iter().map(|one| format!("metadata.namespace!={one}")).collect();
        let selector = (!terms.is_empty()).then(|| terms.join(","));
        Self { client, namespaces: Vec::new(), selector }
    }

    /// The events of a kind from every namespace. `stored` is the store that they fill.
    pub(super) fn watch<K>(
        &self,
        all: impl FnOnce(Client) -> Api<K>,
        of: impl Fn(Client, &str) -> Api<K>,
        config: &watcher::Config,
        stored: Store<K>,
    ) -> WatchEvents<K, watcher::Error>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Clone + Eq + Hash + Send + Sync,
    {
        if self.namespaces.is_empty() {
            let config = watcher::Config { field_selector: self.selector.clone(), ..config.clone() };
            return Box::pin(watch(all(self.client.clone()), config));
        }
        let each = self.namespaces.iter().map(|namespace| {
            let events: WatchEvents<K, _> =
                Box::pin(watch(of(self.client.clone(), namespace), config.clone()));
            (namespace.clone(), events)
        });
        let of_namespace = move |namespace: &str| -> Vec<K> {
            let all = stored.state().into_iter();
            all.filter(|one| one.meta().namespace.as_deref() == Some(namespace))
                .map(|one| K::clone(&one))
                .collect()
        };
        Box::pin(merged(each.collect(), of_namespace))
    }
}

/// The non-empty names, each once.
fn set(namespaces: &[String]) -> BTreeSet<&String> {
    namespaces.iter().filter(|one| !one.is_empty()).collect()
}

/// A cache of apps or overrides, and the stream that fills it.
#[must_use]
pub fn reflect_written<K>(scope: &Scope) -> (Store<Guarded<K>>, Touched<Guarded<K>>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    (store.clone(), Box::pin(written(scope, store).reflect(writer).touched_objects()))
}

/// The cache of the overrides, and the stream that fills it.
#[must_use]
pub fn reflect_overrides(scope: &Scope) -> (Children<GuardedOverride>, Touched<GuardedOverride>) {
    indexed(|store| written(scope, store), ())
}

fn written<K>(
    scope: &Scope,
    stored: Store<Guarded<K>>,
) -> impl Stream<Item = watcher::Result<watcher::Event<Guarded<K>>>> + Send + use<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let written = scope.watch(Api::all, Api::namespaced, &watcher::Config::default(), stored);
    written.modify(|object: &mut Guarded<K>| {
        let metadata = object.meta_mut();
        (metadata.labels, metadata.annotations, metadata.managed_fields) = (None, None, None);
        metadata.owner_references = None;
    })
}

/// A cache of a kind of children, which have the operator's label, and the stream that fills it.
#[must_use]
pub fn reflect_children<K>(scope: &Scope, kind: Kind) -> (Children<K>, Touched<K>)
where
    K: Labelled + OfKind + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (all, of) = (
        move |client| Api::all_with(client, &kind),
        move |client, namespace: &str| Api::namespaced_with(client, namespace, &kind),
    );
    indexed(
        |store| scope.watch(all, of, &labelled(), store).inspect_ok(move |event| warn(event, &kind)),
        kind,
    )
}

/// The cache of a kind of children whose definition may be missing, and the stream that fills it, which has no errors.
/// `told` gets each event, and each error, once the cache shows it.
pub(super) fn reflect_optional<K>(
    scope: &Scope,
    kind: Kind,
    told: impl Fn(&watcher::Result<watcher::Event<K>>) + Send + 'static,
) -> (Children<K>, Touched<K>)
where
    K: Labelled + OfKind + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (all, of) = (
        move |client| Api::all_with(client, &kind),
        move |client, namespace: &str| Api::namespaced_with(client, namespace, &kind),
    );
    let events = |store| scope.watch(all, of, &labelled(), store).inspect_ok(move |event| warn(event, &kind));
    let (children, touched) = indexed_then(events, kind, told);
    (children, Box::pin(touched.filter_map(|touched| ready(touched.ok().map(Ok)))))
}

/// The cache of the pods, and the stream that fills it.
#[must_use]
pub fn reflect_pods(scope: &Scope) -> (Children<CachedPod>, Touched<CachedPod>) {
    let events = |store| scope.watch(Api::all, Api::namespaced, &labelled(), store);
    indexed(|store| events(store).inspect_ok(|event| warn(event, &())), ())
}

fn labelled() -> watcher::Config {
    watcher::Config::default().labels(labels::MANAGED)
}

fn indexed<K, S>(events: impl FnOnce(Store<K>) -> S, dynamic: K::DynamicType) -> (Children<K>, Touched<K>)
where
    S: Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    K: OfApp + Resource + Clone + Debug + Send + Sync + 'static,
    K::DynamicType: Copy + Eq + Hash + Send + Sync + Unpin,
{
    indexed_then(events, dynamic, |_| ())
}

fn indexed_then<K, S>(
    events: impl FnOnce(Store<K>) -> S,
    dynamic: K::DynamicType,
    told: impl Fn(&watcher::Result<watcher::Event<K>>) + Send + 'static,
) -> (Children<K>, Touched<K>)
where
    S: Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    K: OfApp + Resource + Clone + Debug + Send + Sync + 'static,
    K::DynamicType: Copy + Eq + Hash + Send + Sync + Unpin,
{
    let writer = reflector::store::Writer::new(dynamic);
    let events = events(writer.as_reader());
    let children = Children::new(writer.as_reader(), dynamic);
    let (releasing, noting) = (children.clone(), children.clone());
    let reflected = events.inspect_ok(move |event| releasing.release(event)).reflect(writer);
    let noted = reflected.inspect_ok(move |event| noting.note(event));
    (children, Box::pin(noted.inspect(told).touched_objects()))
}

/// Unreadable objects are skipped and logged.
fn warn<K: Labelled + Resource>(event: &watcher::Event<K>, kind: &K::DynamicType) {
    let (watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = event else { return };
    if let Some(why) = object.unreadable() {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        tracing::warn!(kind = %K::kind(kind), namespace, name, "cannot be read and counts for nothing: {why}");
    }
}

fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, config.page_size(PAGE)).default_backoff()
}

/// The controller's reference to an app.
#[must_use]
pub fn app_ref(namespace: &str, name: &str) -> ObjectRef<GuardedApp> {
    ObjectRef::new(name).within(namespace)
}
