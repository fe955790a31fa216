//! What only the read replicas of a database have. Pure.
//!
//! Their script is in the folder beside this file. A replica is ready while it is eligible for reads, so a Service over
//! ready pods is the read address, and nothing else decides where reads go.

use super::{labels, metadata};
use crate::names;
use crate::resolve::app::{App, Component, METRICS_PORT};
use crate::resolve::database::{
    DATA_FOLDER, EXPORTER, EXPORTER_SESSION, POSTGRES, RUN_FOLDER, Reader, SCRIPT_FOLDER, SECRET_FOLDER,
    TLS_FOLDER,
};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

/// The files of the script; `reader.sh` is its entry.
const FILES: [(&str, &str); 11] = [
    ("check.sh", include_str!("reader/check.sh")),
    ("check.sql", include_str!("reader/check.sql")),
    ("clone.sh", include_str!("reader/clone.sh")),
    ("drain.sh", include_str!("reader/drain.sh")),
    ("monitor.sh", include_str!("reader/monitor.sh")),
    ("reader.sh", include_str!("reader/reader.sh")),
    ("secret.sh", include_str!("reader/secret.sh")),
    ("server.sh", include_str!("reader/server.sh")),
    ("session.sh", include_str!("reader/session.sh")),
    ("settings.sql", include_str!("reader/settings.sql")),
    ("words.sh", include_str!("reader/words.sh")),
];

/// User and group of PostgreSQL in the official image.
const POSTGRES_USER: u32 = 999;

/// The script.
pub(super) fn config_map(app: &App, component: &Component) -> ConfigMap {
    let data = FILES.map(|(name, text)| (name.to_owned(), text.to_owned()));
    ConfigMap { metadata: metadata(app, component), data: Some(data.into()), ..ConfigMap::default() }
}

/// What the StatefulSet has beside that of a cache: a claim for the data of each pod, deleted when the pod leaves.
///
/// Its pods are created at the same time, too, because the script clones one at a time: with `OrderedReady` a pod that
/// never becomes ready would block the template that repairs it.
pub(super) fn claims(app: &App, component: &Component, reader: &Reader) -> Value {
    let policy = reader.storage_policy.name();
    let mut spec =
        json!({"persistentVolumeClaimRetentionPolicy": {"whenDeleted": policy, "whenScaled": "Delete"}});
    if let Some(size) = &reader.storage {
        let mut claim = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        });
        if let Some(class) = &reader.storage_class {
            claim["storageClassName"] = json!(class);
        }
        spec["volumeClaimTemplates"] = json!([{
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "labels": labels::of_component(app, component)},
            "spec": claim,
        }]);
    }
    json!({"spec": spec})
}

/// The fields of the pods that a user may change: the user of the processes, and the exporter.
pub(super) fn defaults(reader: &Reader) -> Value {
    let context = json!({
        "fsGroup": POSTGRES_USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "runAsGroup": POSTGRES_USER,
        "runAsUser": POSTGRES_USER,
    });
    let exporter = reader.exporter.as_ref().map(|image| {
        json!({
            "name": "exporter",
            "image": image,
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        })
    });
    let containers: Vec<Value> = exporter.into_iter().collect();
    json!({"spec": {"securityContext": context, "containers": containers}})
}

/// The fields of the pods that the operator owns, beside those of every component.
pub(super) fn owned(app: &App, component: &Component, reader: &Reader) -> Value {
    let mut mounts = vec![
        json!({"name": "data", "mountPath": DATA_FOLDER}),
        json!({"name": "primary", "mountPath": SECRET_FOLDER, "readOnly": true}),
        json!({"name": "run", "mountPath": RUN_FOLDER}),
        json!({"name": "script", "mountPath": SCRIPT_FOLDER, "readOnly": true}),
        json!({"name": "tmp", "mountPath": "/tmp"}),
    ];
    if reader.tls_secret.is_some() {
        mounts.push(json!({"name": "tls", "mountPath": TLS_FOLDER, "readOnly": true}));
    }
    let own = json!({
        "name": component.name.as_str(),
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    });
    let exporter = reader.exporter.as_ref().map(|_| exporter());
    let containers: Vec<Value> = [own].into_iter().chain(exporter).collect();
    json!({"spec": {"containers": containers, "volumes": volumes(app, component, reader)}})
}

/// It connects to the replica beside it, with the role of the primary's Secret.
fn exporter() -> Value {
    let source = format!("localhost:{POSTGRES}/postgres?sslmode=disable&application_name={EXPORTER_SESSION}");
    let variable = |name: &str, value: String| json!({"name": name, "value": value});
    json!({
        "name": "exporter",
        "env": [
            variable("DATA_SOURCE_URI", source),
            variable("DATA_SOURCE_USER_FILE", format!("{SECRET_FOLDER}/user")),
            variable("DATA_SOURCE_PASS_FILE", format!("{SECRET_FOLDER}/password")),
        ],
        "ports": [{"name": METRICS_PORT, "containerPort": EXPORTER, "protocol": "TCP"}],
        "volumeMounts": [{"name": "primary", "mountPath": SECRET_FOLDER, "readOnly": true}],
    })
}

/// The volumes. The Secret is mounted whole, so that a change of it arrives; a key of another name is there under the
/// name that the script and the exporter read, too.
fn volumes(app: &App, component: &Component, reader: &Reader) -> Vec<Value> {
    let secret = |items: Value| json!({"secret": {"name": reader.secret, "items": items, "optional": true}});
    let renamed = |key: &str, path: &str| secret(json!([{"key": key, "path": path}]));
    let mut sources = vec![json!({"secret": {"name": reader.secret}}), renamed("username", "user")];
    if reader.uri_key != "uri" {
        sources.push(renamed(&reader.uri_key, "uri"));
    }
    let script = names::component(app.name.as_str(), component.name.as_str());
    let mut volumes = vec![
        json!({"name": "primary", "projected": {"sources": sources}}),
        json!({"name": "run", "emptyDir": {}}),
        json!({"name": "script", "configMap": {"name": script}}),
        json!({"name": "tmp", "emptyDir": {}}),
    ];
    if let Some(secret) = &reader.tls_secret {
        volumes.push(json!({"name": "tls", "secret": {"secretName": secret}}));
    }
    if reader.storage.is_none() {
        volumes.push(json!({"name": "data", "emptyDir": {}}));
    }
    volumes
}
