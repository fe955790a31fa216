//! One watch over several namespaces, out of one for each: a store follows one stream, and each list empties it. Pure.

use futures::{Stream, StreamExt, stream};
use kube::{Resource, ResourceExt, runtime::watcher::Event};
use std::{
    collections::{BTreeMap, HashSet},
    mem,
    pin::Pin,
};

/// What the watch of one namespace yields.
pub type Events<K, E> = Pin<Box<dyn Stream<Item = Result<Event<K>, E>> + Send>>;

/// The events of all namespaces as those of one watch. The first lists become one list. A later list of one namespace
/// becomes changes, for it says nothing of the others; `stored` finds what the store holds of a namespace.
pub fn merged<K, E>(
    namespaces: Vec<(String, Events<K, E>)>,
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
    /// Namespaces whose first list is not whole yet, with what it has shown so far.
    listing: BTreeMap<String, First<K>>,
    /// Names in the later list of a namespace.
    relisting: BTreeMap<String, HashSet<String>>,
    has_begun: bool,
    /// Changes that came before every first list was whole.
    waiting: Vec<Event<K>>,
}

/// A first list. It may begin anew, without some of what it has shown.
struct First<K> {
    shown: BTreeMap<String, K>,
    names: HashSet<String>,
}

impl<K: Resource + Clone> Merge<K> {
    fn new(namespaces: impl Iterator<Item = String>) -> Self {
        let first = || First { shown: BTreeMap::new(), names: HashSet::new() };
        Self {
            listing: namespaces.map(|namespace| (namespace, first())).collect(),
            relisting: BTreeMap::new(),
            has_begun: false,
            waiting: Vec::new(),
        }
    }

    fn take(&mut self, namespace: &str, event: Event<K>, stored: impl Fn(&str) -> Vec<K>) -> Vec<Event<K>> {
        match event {
            Event::Init => self.begin(namespace),
            Event::InitApply(object) => vec![self.listed(namespace, object)],
            Event::InitDone => self.end(namespace, stored),
            change if self.listing.is_empty() => vec![change],
            change => {
                self.waiting.push(change);
                Vec::new()
            }
        }
    }

    fn begin(&mut self, namespace: &str) -> Vec<Event<K>> {
        match self.listing.get_mut(namespace) {
            Some(first) => first.names.clear(),
            None => drop(self.relisting.insert(namespace.to_owned(), HashSet::new())),
        }
        if mem::replace(&mut self.has_begun, true) { Vec::new() } else { vec![Event::Init] }
    }

    fn listed(&mut self, namespace: &str, object: K) -> Event<K> {
        let name = object.name_any();
        if let Some(first) = self.listing.get_mut(namespace) {
            first.names.insert(name.clone());
            first.shown.insert(name, object.clone());
            return Event::InitApply(object);
        }
        self.relisting.entry(namespace.to_owned()).or_default().insert(name);
        Event::Apply(object)
    }

    fn end(&mut self, namespace: &str, stored: impl Fn(&str) -> Vec<K>) -> Vec<Event<K>> {
        if let Some(First { shown, names }) = self.listing.remove(namespace) {
            let gone = shown.into_iter().filter(|(name, _)| !names.contains(name));
            // Before the changes of this namespace, which came after its list.
            let gone: Vec<_> = gone.map(|(_, object)| Event::Delete(object)).collect();
            self.waiting.splice(0..0, gone);
            if !self.listing.is_empty() {
                return Vec::new();
            }
            return [Event::InitDone].into_iter().chain(mem::take(&mut self.waiting)).collect();
        }
        let names = self.relisting.remove(namespace).unwrap_or_default();
        let gone = stored(namespace).into_iter().filter(|object| !names.contains(&object.name_any()));
        let gone: Vec<_> = gone.map(Event::Delete).collect();
        if self.listing.is_empty() {
            return gone;
        }
        self.waiting.extend(gone);
        Vec::new()
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

    /// Names in a store that is told these events of the namespaces `a` and `b`, after each of them; nothing before it
    /// is ready.
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
}
