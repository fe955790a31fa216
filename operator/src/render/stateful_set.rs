//! The StatefulSet of a cache or of read replicas. Pure.

use super::merge::merge;
use super::settings::Settings;
use super::{cache, labels, pod_template, reader};
use crate::labels::EPOCH;
use crate::names;
use crate::resolve::app::{App, Component};
use serde_json::{Value, json};

/// The StatefulSet. It has no replicas, because they belong to scaling. A change of its template replaces one pod after
/// another in place, but not where only the memory of shards differs. Pods come and go at once, because none of them needs another.
#[must_use]
pub fn stateful_set(app: &App, component: &Component, epoch: u64, settings: &Settings) -> Value {
    let name = names::component(app.name.as_str(), component.name.as_str());
    let mut labels = labels::of_revision(app, component);
    labels.insert(EPOCH.to_owned(), epoch.to_string());
    let mut stateful_set = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": name,
            "namespace": app.namespace,
            "labels": labels,
            "ownerReferences": [app.owner_reference()],
        },
        "spec": {
            "podManagementPolicy": "Parallel",
            "revisionHistoryLimit": 1,
            "selector": labels::selector(labels::selected_by_component(app, component)),
            "serviceName": name,
            "template": pod_template::pod_template(app, component),
            "updateStrategy": {"type": "RollingUpdate"},
        },
    });
    if let Some(cache) = &component.pod.cache {
        let memory = cache::memory(component, cache, settings);
        merge(&mut stateful_set, cache::resized(component, cache, memory));
    }
    if let Some(reader) = &component.pod.reader {
        merge(&mut stateful_set, reader::claims(app, component, reader));
    }
    stateful_set
}
