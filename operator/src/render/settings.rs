//! What the operator decides while pods run, as files that they read again: each key of a ConfigMap is a file. Pure.
//!
//! None of it is in a template, so none of it restarts a pod.

use super::{cache, metadata, names};
use crate::resolve::app::{App, Component, UsedCache};
use crate::resolve::cache::PORT;
use crate::resolve::database;
use k8s_openapi::api::core::v1::ConfigMap;
use scalableapp_engine::rollout::weights::Weights;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Folder of the files.
const FOLDER: &str = "/etc/scalableapp/settings";
/// The variable with the folder.
const FOLDER_VARIABLE: &str = "SCALABLEAPP_SETTINGS";
const VOLUME: &str = "scalableapp-settings";

/// What is decided while pods run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Listed shards of each cache, by its name: those of the ordinals below this number.
    pub shards: BTreeMap<String, i32>,
    /// Shards of each cache that is no longer declared and still used.
    pub removed_shards: BTreeMap<String, i32>,
    /// Databases with read replicas that are no longer declared and still used.
    pub removed_readers: BTreeSet<String>,
    /// Size of the connection pools of each component, by its name, where it is known.
    pub pools: BTreeMap<String, i32>,
    /// Memory of each cache's shards, by its name; the declared one of those without.
    pub memory: BTreeMap<String, Memory>,
    /// Weights of the revisions of each service with a route, by its name; none while its route stays as it is.
    pub weights: BTreeMap<String, Weights>,
    /// What the Services of each component with a blue-green rollout select, by its name; the others select all revisions.
    pub selections: BTreeMap<String, SelectedRevisions>,
}

/// The revisions that the Services of a component select.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectedRevisions {
    /// The one that all requests go to; `None` for all revisions.
    pub active: Option<String>,
    /// The one of the preview Service; `None` without one.
    pub preview: Option<String>,
}

/// Memory of the shards of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes of each shard.
    pub bytes: i64,
    /// Whether pods that differ from the template are replaced. What differs in its memory alone is resized instead.
    pub replaces: bool,
}

/// The settings of a service or a worker; `None` for a component that has none, and while the size of its pools is not
/// known: then they stay as an earlier process wrote them. The files of what leaves stay with it.
pub(super) fn config_map(app: &App, component: &Component, settings: &Settings) -> Option<ConfigMap> {
    let (pod, name) = (&component.pod, app.name.as_str());
    let declared = pod
        .caches
        .iter()
        .map(|UsedCache { name, .. }| (name, settings.shards.get(name).copied().unwrap_or_default()));
    let removed = settings.removed_shards.iter().map(|(cache, shards)| (cache, *shards));
    let shards =
        |(cache, shards): (&String, i32)| (variable(cache, "ENDPOINTS"), endpoints(app, cache, shards));
    let hosts = pod.read_hosts().map(|host| (host.name.clone(), host.value.clone().unwrap_or_default()));
    let readers = settings.removed_readers.iter().map(|one| database::read_host(one, name, &app.namespace));
    let pool = match &pod.pool {
        Some(database) => {
            let size = settings.pools.get(component.name.as_str())?;
            Some((database::variable(database, "POOL"), size.to_string()))
        }
        None => None,
    };
    let keeps = !settings.removed_shards.is_empty() || !settings.removed_readers.is_empty();
    (pod.has_settings() || (keeps && component.is_consumer())).then(|| ConfigMap {
        metadata: metadata(app, component),
        data: Some(declared.chain(removed).map(shards).chain(hosts).chain(readers).chain(pool).collect()),
        ..ConfigMap::default()
    })
}

/// The addresses of the first shards, separated by commas. A consumer hashes them, so each is the same for ever.
fn endpoints(app: &App, cache: &str, shards: i32) -> String {
    let service = names::component(app.name.as_str(), cache);
    let endpoint = |ordinal| format!("{service}-{ordinal}.{service}.{}.svc:{PORT}", app.namespace);
    (0..shards).map(endpoint).collect::<Vec<_>>().join(",")
}

/// The variables of the operator for a component with settings. A password is optional: a component must start without
/// its cache. The path of an authority says that a cache has TLS.
pub(super) fn env(app: &App, component: &Component) -> Vec<Value> {
    let folder = component.pod.has_settings().then(|| json!({"name": FOLDER_VARIABLE, "value": FOLDER}));
    let of_cache = |UsedCache { name, tls }: &UsedCache| {
        let authority = variable(name, "CA");
        let path = format!("{FOLDER}/{authority}");
        let authority = tls.is_some().then(|| json!({"name": authority, "value": path}));
        [cache::password(app, name, &variable(name, "PASSWORD"), true)].into_iter().chain(authority)
    };
    folder.into_iter().chain(component.pod.caches.iter().flat_map(of_cache)).collect()
}

/// `CACHE_<NAME>_<suffix>`.
fn variable(cache: &str, suffix: &str) -> String {
    format!("CACHE_{}_{suffix}", cache.to_uppercase().replace('-', "_"))
}

/// The mount of the files.
pub(super) fn mounts() -> Value {
    // No subPath, which would never show a change.
    json!([{"name": VOLUME, "mountPath": FOLDER, "readOnly": true}])
}

/// The volume of the files: what the operator decides, and the passwords and authorities of the caches. All of it is
/// optional: a component must start without its settings.
pub(super) fn volumes(app: &App, component: &Component) -> Value {
    let name = names::component(app.name.as_str(), component.name.as_str());
    let decided = json!({"configMap": {"name": name, "optional": true}});
    let of_cache = |UsedCache { name, tls }: &UsedCache| {
        let authority = tls.as_ref().map(|secret| cache::authority_file(secret, &variable(name, "CA")));
        [cache::password_file(app, name, &variable(name, "PASSWORD"))].into_iter().chain(authority)
    };
    let sources: Vec<Value> =
        [decided].into_iter().chain(component.pod.caches.iter().flat_map(of_cache)).collect();
    json!([{"name": VOLUME, "projected": {"sources": sources}}])
}
