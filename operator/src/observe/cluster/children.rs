//! The cache of one kind of children, of pods or of overrides, with an index by app. Filled by a watch.

use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;
use kube::Resource;
use kube::runtime::reflector::store::WriterDropped;
use kube::runtime::reflector::{Lookup, ObjectRef, Store};
use kube::runtime::watcher;

use crate::observe::namespaced::NamespacedName;

/// An object that belongs to an app.
pub trait OfApp {
    /// Name of the app, in the object's own namespace.
    fn app(&self) -> Option<&str>;
}

/// The objects of each app, in the order of their names. A set would reserve space for eleven.
type Index<K> = HashMap<NamespacedName, Siblings<K>>;

/// Objects of one app, shared with the passes.
pub type Siblings<K> = Arc<Vec<Arc<K>>>;

/// A cache with an index by app. Cheap to clone.
#[derive(Clone)]
pub struct Children<K: Lookup + Clone + 'static>
where
    K::DynamicType: Eq + Hash + Clone,
{
    store: Store<K>,
    dynamic: K::DynamicType,
    index: Arc<RwLock<Index<K>>>,
}

impl<K> Children<K>
where
    K: OfApp + Resource + Clone + 'static,
    K::DynamicType: Copy + Eq + Hash,
{
    /// An index over a store; [`Self::release`] and [`Self::note`] follow it.
    #[must_use]
    pub fn new(store: Store<K>, dynamic: K::DynamicType) -> Self {
        Self { store, dynamic, index: Arc::default() }
    }

    /// Removes an object that is about to leave the store, or its app. Called before the change of the store.
    pub fn release(&self, event: &watcher::Event<K>) {
        let leaving = match event {
            watcher::Event::Apply(object) => self.known(object).filter(|known| known.app() != object.app()),
            watcher::Event::Delete(object) => self.known(object),
            watcher::Event::Init | watcher::Event::InitApply(_) | watcher::Event::InitDone => None,
        };
        if let Some(object) = leaving {
            remove(&mut self.index.write().unwrap_or_else(PoisonError::into_inner), &*object);
        }
    }

    /// Adds an object as it is in the store. Called after the change of the store; a list appears when it is complete.
    pub fn note(&self, event: &watcher::Event<K>) {
        let mut objects = match event {
            watcher::Event::Apply(object) => self.known(object).into_iter().collect(),
            watcher::Event::InitDone => self.store.state(),
            watcher::Event::Delete(_) | watcher::Event::Init | watcher::Event::InitApply(_) => return,
        };
        // In order, each one is appended and moves no other.
        objects.sort_unstable_by(|one, other| one.meta().name.cmp(&other.meta().name));
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(event, watcher::Event::InitDone) {
            index.clear();
        }
        for object in objects {
            insert(&mut index, object);
        }
    }

    fn known(&self, object: &K) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::from_obj_with(object, self.dynamic))
    }

    /// The object of this name.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new_with(name, self.dynamic).within(namespace))
    }

    /// All objects, of all apps.
    #[must_use]
    pub fn store(&self) -> &Store<K> {
        &self.store
    }

    /// The objects of this app, by name.
    #[must_use]
    pub fn of_app(&self, namespace: &str, app: &str) -> Siblings<K> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.get(&(namespace, app)).map(Arc::clone).unwrap_or_default()
    }

    /// Waits until the cache has its first list.
    ///
    /// # Errors
    /// When the watch has ended, which happens only at shutdown.
    pub async fn synced(&self) -> Result<(), WriterDropped> {
        self.store.wait_until_ready().await
    }
}

fn insert<K: OfApp + Resource>(index: &mut Index<K>, object: Arc<K>) {
    let (Some(namespace), Some(app)) = (object.meta().namespace.as_deref(), object.app()) else { return };
    let of_app = Arc::make_mut(index.entry(NamespacedName::new(namespace, app)).or_default());
    match place(of_app, &*object) {
        Ok(place) => of_app[place] = object,
        Err(place) => {
            of_app.reserve_exact(1);
            of_app.insert(place, object);
        }
    }
}

fn remove<K: OfApp + Resource>(index: &mut Index<K>, object: &K) {
    let (Some(namespace), Some(app)) = (object.meta().namespace.as_deref(), object.app()) else { return };
    let Some(of_app) = index.get_mut(&(namespace, app)) else { return };
    if let Ok(place) = place(of_app, object) {
        Arc::make_mut(of_app).remove(place);
    }
    if of_app.is_empty() {
        index.remove(&(namespace, app));
    }
}

fn place<K: Resource>(of_app: &[Arc<K>], object: &K) -> Result<usize, usize> {
    of_app.binary_search_by(|one| one.meta().name.cmp(&object.meta().name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Kind;
    use crate::observe::cluster::cached::CachedChild;
    use kube::ResourceExt;
    use kube::runtime::reflector;
    use serde_json::json;

    fn service(namespace: &str, app: &str, name: &str) -> CachedChild {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": namespace, "labels": {"scalableapp.dev/app": app}},
        }))
        .unwrap()
    }

    #[test]
    fn an_app_finds_its_own_objects_and_no_others() {
        let mut writer = reflector::store::Writer::new(Kind::Service);
        let children = Children::new(writer.as_reader(), Kind::Service);
        let mut tell = |event: watcher::Event<CachedChild>| {
            children.release(&event);
            writer.apply_watcher_event(&event);
            children.note(&event);
        };
        tell(watcher::Event::Init);
        for (namespace, app, name) in [
            ("a", "shop", "shop-web"),
            ("a", "shop", "shop-api"),
            ("b", "shop", "shop-web"),
            ("a", "blog", "x"),
        ] {
            tell(watcher::Event::InitApply(service(namespace, app, name)));
        }
        tell(watcher::Event::InitDone);
        tell(watcher::Event::Apply(service("a", "shop", "shop-new")));
        tell(watcher::Event::Delete(service("a", "shop", "shop-api")));
        let names = |namespace, app| -> Vec<String> {
            children.of_app(namespace, app).iter().map(|object| object.name_any()).collect()
        };
        assert_eq!(names("a", "shop"), ["shop-new", "shop-web"]);
        assert_eq!(names("b", "shop"), ["shop-web"]);
        assert_eq!(names("b", "blog"), [""; 0]);
        // An object that moved to another app.
        tell(watcher::Event::Apply(service("b", "blog", "shop-web")));
        assert_eq!((names("b", "shop"), names("b", "blog")), (vec![], vec!["shop-web".to_owned()]));
        // Another list, without some of them, and with one that moved to another app meanwhile.
        tell(watcher::Event::Init);
        tell(watcher::Event::InitApply(service("a", "blog", "shop-web")));
        tell(watcher::Event::InitDone);
        assert_eq!((names("a", "shop"), names("a", "blog")), (vec![], vec!["shop-web".to_owned()]));
        tell(watcher::Event::Delete(service("a", "blog", "shop-web")));
        assert!(children.get("a", "shop-web").is_none());
    }
}
