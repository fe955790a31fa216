//! The operator's caches of the API server: its apps, their children and their pods. I/O in, by watches alone.

use futures::{Stream, TryStreamExt};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store, store::WriterDropped},
        watcher,
    },
};
use scalableapp_crds::{Guarded, ScalableApp, ScalingOverride};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fmt::Debug, hash::Hash, pin::Pin, sync::Arc, time::Duration};
use tokio::time::timeout;

use super::{
    children::{Children, OfApp, Siblings},
    labelled::Labelled,
    pods::SeenPod,
    seen::{Seen, SeenDeployment},
};
use crate::{kinds::Kind, labels};

/// An app as the watch delivers it: an object that cannot be read is still an object, and harms no other.
pub type GuardedApp = Guarded<ScalableApp>;

/// An override as the watch delivers it. One that cannot be read does nothing, and says so.
pub type GuardedOverride = Guarded<ScalingOverride>;

/// Time between two looks at a cache that may be ready without having said so.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Objects of one answer to a list, which is held twice before the first object of it is reduced: of the largest ones, and
/// with all kinds listed at once, that is 32 MiB.
const PAGE: u32 = 8;

/// The caches.
#[derive(Clone)]
pub struct Cluster {
    /// The apps.
    pub apps: Store<GuardedApp>,
    /// The overrides.
    pub overrides: Children<GuardedOverride>,
    /// Deployments that the operator made.
    pub deployments: Children<SeenDeployment>,
    /// The children of every other kind.
    pub others: BTreeMap<Kind, Children<Seen>>,
    /// Pods of the operator's Deployments.
    pub pods: Children<SeenPod>,
}

/// What the caches hold of one app.
#[derive(Clone, Default)]
pub struct Observed {
    /// Its Deployments, in the order of their names.
    pub deployments: Siblings<SeenDeployment>,
    /// Its pods, in the order of their names.
    pub pods: Siblings<SeenPod>,
    /// Its overrides, in force or not.
    pub overrides: Siblings<GuardedOverride>,
}

impl Cluster {
    /// Waits until every cache holds what the API server held.
    ///
    /// # Errors
    /// When a watch has ended, which happens only at shutdown.
    pub async fn synced(&self) -> Result<(), WriterDropped> {
        // A store wakes only the last of those who wait for it, and the controller waits for the apps too.
        while let Err(_elapsed) = timeout(LOOK_AGAIN, self.apps.wait_until_ready()).await {}
        self.apps.wait_until_ready().await?;
        self.overrides.synced().await?;
        self.deployments.synced().await?;
        for children in self.others.values() {
            children.synced().await?;
        }
        self.pods.synced().await
    }

    /// What the caches hold of one app.
    #[must_use]
    pub fn of_app(&self, namespace: &str, app: &str) -> Observed {
        Observed {
            deployments: self.deployments.of_app(namespace, app),
            pods: self.pods.of_app(namespace, app),
            overrides: self.overrides.of_app(namespace, app),
        }
    }
}

impl Observed {
    /// The Deployments of one component, in the order of their names.
    pub fn deployments_of(&self, component: &str) -> impl Iterator<Item = &Arc<SeenDeployment>> {
        of_component(&self.deployments, component)
    }

    /// The overrides that can be read, in force or not.
    pub fn readable_overrides(&self) -> impl Iterator<Item = &ScalingOverride> {
        self.overrides.iter().filter_map(|one| one.0.as_ref().ok())
    }

    /// The pods of one component, in the order of their names.
    pub fn pods_of(&self, component: &str) -> impl Iterator<Item = &Arc<SeenPod>> {
        of_component(&self.pods, component)
    }
}

fn of_component<'a, K: Labelled>(objects: &'a [Arc<K>], component: &str) -> impl Iterator<Item = &'a Arc<K>> {
    objects.iter().filter(move |object| object.component() == Some(component))
}

/// The stream of a watch; it yields each object that was touched, deleted ones too.
pub type Touched<K> = Pin<Box<dyn Stream<Item = watcher::Result<K>> + Send>>;

/// Namespace and name of the app that an override acts upon.
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

/// A cache of what people write, apps or overrides, and the stream that fills it.
#[must_use]
pub fn reflect_written<K>(client: Client) -> (Store<Guarded<K>>, Touched<Guarded<K>>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    (store, Box::pin(written(client).reflect(writer).touched_objects()))
}

/// The cache of the overrides, and the stream that fills it.
#[must_use]
pub fn reflect_overrides(client: Client) -> (Children<GuardedOverride>, Touched<GuardedOverride>) {
    indexed(written(client), ())
}

fn written<K>(client: Client) -> impl Stream<Item = watcher::Result<watcher::Event<Guarded<K>>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let written = watch(Api::all(client), watcher::Config::default());
    written.modify(|object: &mut Guarded<K>| {
        let metadata = object.meta_mut();
        (metadata.labels, metadata.annotations, metadata.managed_fields) = (None, None, None);
        metadata.owner_references = None;
    })
}

/// A cache of a kind of children, and the stream that fills it: what carries the operator's label.
#[must_use]
pub fn reflect_children<K>(client: Client, kind: K::DynamicType) -> (Children<K>, Touched<K>)
where
    K: Labelled + Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Copy + Eq + Hash + Send + Sync + Unpin,
{
    let labelled = watcher::Config::default().labels(labels::MANAGED);
    let events = watch(Api::all_with(client, &kind), labelled);
    indexed(events.inspect_ok(move |event| warn(event, &kind)), kind)
}

fn indexed<K>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    dynamic: K::DynamicType,
) -> (Children<K>, Touched<K>)
where
    K: OfApp + Resource + Clone + Debug + Send + Sync + 'static,
    K::DynamicType: Copy + Eq + Hash + Send + Sync + Unpin,
{
    let writer = reflector::store::Writer::new(dynamic);
    let children = Children::new(writer.as_reader(), dynamic);
    let (releasing, noting) = (children.clone(), children.clone());
    let reflected = events.inspect_ok(move |event| releasing.release(event)).reflect(writer);
    let noted = reflected.inspect_ok(move |event| noting.note(event));
    (children, Box::pin(noted.touched_objects()))
}

/// An object that cannot be read is left out of what is decided, and that is said.
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

/// The reference by which the controller knows an app.
#[must_use]
pub fn app_ref(namespace: &str, name: &str) -> ObjectRef<GuardedApp> {
    ObjectRef::new(name).within(namespace)
}
