//! Merges one watch for each namespace into one: a store follows one stream, and each list replaces its content. Pure.

use futures::{Stream, StreamExt, stream};
use kube::{Resource, ResourceExt, runtime::watcher::Event};
use std::{
    collections::{BTreeMap, HashSet},
    mem,
    pin::Pin,
};

/// The items of a namespace's watch.
pub type WatchEvents<K, E> = Pin<Box<dyn Stream<Item = Result<Event<K>, E>> + Send>>;

/// The events of all namespaces as those of one watch. The first lists become one list. A later list of one namespace
/// becomes changes, because it has no objects of the others; `stored` finds the stored objects of a namespace.
pub fn merged<K, E>(
    namespaces: Vec<(String, WatchEvents<K, E>)>,
    stored: impl Fn(&str) -> Vec<K> + Send + 'static,
) -> impl Stream<Item = Result<Event<K>, E>> + Send
where
    K: Resource + Clone + Send + 'static,
    E: Send + 'static,
{
    let mut merge = Merge::new(namespaces.iter().map(|(namespace, _)| namespace.clone()));
    let tagged = namespaces
        .into_iter()
        .map(|(namespace, events)| events.map(move |event| (namespace.clone(), event)).boxed());
    stream::select_all(tagged).flat_map(move |(namespace, event)| {
        let events = match event {
            Ok(event) => merge.take(&namespace, event, &stored).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(events)
    })
}

struct Merge<K> {
    /// The first list of each namespace, until all are complete.
    first: Option<BTreeMap<String, FirstList<K>>>,
    /// Names in a later list of a namespace.
    relisting: BTreeMap<String, HashSet<String>>,
    has_begun: bool,
}

/// A first list. It may restart, without some of its earlier objects.
struct FirstList<K> {
    shown: BTreeMap<String, K>,
    names: HashSet<String>,
    is_whole: bool,
    /// Changes after its completion.
    changes: Vec<Event<K>>,
}

impl<K> Default for FirstList<K> {
    fn default() -> Self {
        Self { shown: BTreeMap::new(), names: HashSet::new(), is_whole: false, changes: Vec::new() }
    }
}

impl<K: Resource + Clone> Merge<K> {
    fn new(namespaces: impl Iterator<Item = String>) -> Self {
        let first = namespaces.map(|namespace| (namespace, FirstList::default())).collect();
        Self { first: Some(first), relisting: BTreeMap::new(), has_begun: false }
    }

    fn take(&mut self, namespace: &str, event: Event<K>, stored: impl Fn(&str) -> Vec<K>) -> Vec<Event<K>> {
        if self.first.is_some() { self.list(namespace, event) } else { self.change(namespace, event, stored) }
    }

    /// Until every namespace was listed, the store gets one list.
    fn list(&mut self, namespace: &str, event: Event<K>) -> Vec<Event<K>> {
        let Some(first) = self.first.as_mut().and_then(|first| first.get_mut(namespace)) else {
            return Vec::new();
        };
        match event {
            Event::Init => {
                first.names.clear();
                first.changes.clear();
                first.is_whole = false;
                let begins = !mem::replace(&mut self.has_begun, true);
                begins.then_some(Event::Init).into_iter().collect()
            }
            Event::InitApply(object) => {
                first.names.insert(object.name_any());
                first.shown.insert(object.name_any(), object.clone());
                vec![Event::InitApply(object)]
            }
            Event::InitDone => {
                first.is_whole = true;
                self.end_of_lists()
            }
            change => {
                first.changes.push(change);
                Vec::new()
            }
        }
    }

    /// Once all lists are complete: objects that disappeared during them, and later changes.
    fn end_of_lists(&mut self) -> Vec<Event<K>> {
        let Some(lists) = self.first.take_if(|first| first.values().all(|one| one.is_whole)) else {
            return Vec::new();
        };
        let changes = lists.into_values().flat_map(|FirstList { shown, names, changes, .. }| {
            let gone = shown.into_iter().filter(move |(name, _)| !names.contains(name));
            gone.map(|(_, object)| Event::Delete(object)).chain(changes)
        });
        [Event::InitDone].into_iter().chain(changes).collect()
    }

    fn change(&mut self, namespace: &str, event: Event<K>, stored: impl Fn(&str) -> Vec<K>) -> Vec<Event<K>> {
        match event {
            Event::Init => {
                self.relisting.insert(namespace.to_owned(), HashSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                self.relisting.entry(namespace.to_owned()).or_default().insert(object.name_any());
                vec![Event::Apply(object)]
            }
            Event::InitDone => {
                let names = self.relisting.remove(namespace).unwrap_or_default();
                let gone = stored(namespace).into_iter().filter(|one| !names.contains(&one.name_any()));
                gone.map(Event::Delete).collect()
            }
            change => vec![change],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::reflector;

    fn object(namespace: &str, name: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.namespace = Some(namespace.to_owned());
        object.metadata.name = Some(name.to_owned());
        object
    }

    /// Names in a store after each of these events of the namespaces `a` and `b`; `None` before it is ready.
    fn stored(events: Vec<(&str, Event<ConfigMap>)>) -> Vec<String> {
        let (reader, mut writer) = reflector::store();
        let mut merge = Merge::new(["a", "b"].map(str::to_owned).into_iter());
        let of = |namespace: &str| -> Vec<ConfigMap> {
            let all = reader.state().into_iter().map(|one| ConfigMap::clone(&one));
            all.filter(|one| one.namespace().as_deref() == Some(namespace)).collect()
        };
        let mut told = Vec::new();
        for (namespace, event) in events {
            for event in merge.take(namespace, event, of) {
                writer.apply_watcher_event(&event);
            }
            let mut names: Vec<String> = reader.state().iter().map(|one| one.name_any()).collect();
            names.sort();
            told.push(names.concat());
        }
        told
    }

    #[test]
    fn a_store_is_ready_when_every_namespace_was_listed_and_loses_no_change() {
        let told = stored(vec![
            ("a", Event::Init),
            ("b", Event::Init),
            ("a", Event::InitApply(object("a", "x"))),
            ("a", Event::InitDone),
            ("a", Event::Apply(object("a", "y"))),
            ("a", Event::Delete(object("a", "x"))),
            ("b", Event::InitApply(object("b", "z"))),
            ("b", Event::InitDone),
        ]);
        assert_eq!(told, ["", "", "", "", "", "", "", "yz"]);
    }

    #[test]
    fn a_later_list_of_one_namespace_takes_nothing_from_another() {
        let told = stored(vec![
            ("a", Event::Init),
            ("a", Event::InitApply(object("a", "x"))),
            ("a", Event::InitApply(object("a", "y"))),
            ("a", Event::InitDone),
            ("b", Event::Init),
            ("b", Event::InitApply(object("b", "z"))),
            ("b", Event::InitDone),
            ("a", Event::Init),
            ("a", Event::InitApply(object("a", "y"))),
            ("a", Event::InitDone),
        ]);
        assert_eq!(told[6..], ["xyz", "xyz", "xyz", "yz"]);
    }

    #[test]
    fn a_first_list_that_begins_anew_leaves_nothing_behind() {
        let told = stored(vec![
            ("a", Event::Init),
            ("a", Event::InitApply(object("a", "x"))),
            ("a", Event::Init),
            ("a", Event::InitApply(object("a", "y"))),
            ("a", Event::InitDone),
            ("b", Event::Init),
            ("b", Event::InitDone),
        ]);
        assert_eq!(told[6], "y");
    }

    #[test]
    fn a_list_that_is_made_again_before_all_are_whole_is_the_one_that_counts() {
        let told = stored(vec![
            ("a", Event::Init),
            ("a", Event::InitApply(object("a", "x"))),
            ("a", Event::InitDone),
            ("a", Event::Delete(object("a", "x"))),
            ("a", Event::Init),
            ("a", Event::InitApply(object("a", "y"))),
            ("a", Event::InitDone),
            ("b", Event::Init),
            ("b", Event::InitDone),
        ]);
        assert_eq!(told[8], "y");
    }
}
