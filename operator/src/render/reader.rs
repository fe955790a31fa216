//! The children of the read replicas of a database. Pure.
//!
//! Their script is in the folder beside this file. A replica is ready while it is eligible for reads, so a Service over
//! ready pods is the read address, and nothing else decides where reads go.

use super::{
    ComponentChildren, labels, metadata, pod_disruption_budget, pod_template, service_account, to_value,
};
use crate::kinds::Kind;
use crate::labels::{APP, EPOCH};
use crate::names;
use crate::resolve::app::{App, Component, METRICS_PORT, POSTGRES_PORT};
use crate::resolve::database::{
    DATA_FOLDER, EXPORTER, EXPORTER_SESSION, POSTGRES, RUN_FOLDER, Reader, SCRIPT_FOLDER, SECRET_FOLDER,
};
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

/// The children, in the order of their apply.
pub(super) fn children(app: &App, component: &Component, reader: &Reader, epoch: u64) -> ComponentChildren {
    let others = vec![
        (Kind::ServiceAccount, to_value(&service_account::service_account(app, component))),
        (Kind::ConfigMap, config_map(app, component)),
        (Kind::Service, service(app, component)),
        (Kind::PodDisruptionBudget, budget(app, component)),
        (Kind::NetworkPolicy, network_policy(app, component)),
    ];
    ComponentChildren {
        others,
        kind: Kind::StatefulSet,
        workload: stateful_set(app, component, reader, epoch),
    }
}

fn config_map(app: &App, component: &Component) -> Value {
    let data: serde_json::Map<String, Value> =
        FILES.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(app, component), "data": data})
}

/// The address of the replicas that are eligible for reads.
fn service(app: &App, component: &Component) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(app, component),
        "spec": {
            "type": "ClusterIP",
            "selector": labels::selected_by_component(app, component),
            "ports": [{"name": POSTGRES_PORT, "protocol": "TCP", "port": POSTGRES, "targetPort": POSTGRES_PORT}],
        },
    })
}

/// One replica at a time: the next one to leave may hold the only other copy that is near the primary.
fn budget(app: &App, component: &Component) -> Value {
    let mut budget = to_value(&pod_disruption_budget::pod_disruption_budget(app, component));
    budget["spec"]["maxUnavailable"] = json!(1);
    budget
}

/// The pods of the app may read, and anyone may scrape.
fn network_policy(app: &App, component: &Component) -> Value {
    let port = |name: &str| json!([{"port": name, "protocol": "TCP"}]);
    let of_app = json!([{"podSelector": {"matchLabels": {APP: app.name.as_str()}}}]);
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(app, component),
        "spec": {
            "podSelector": {"matchLabels": labels::selected_by_component(app, component)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": of_app, "ports": port(POSTGRES_PORT)}, {"ports": port(METRICS_PORT)}],
        },
    })
}

/// The StatefulSet, without replicas, which belong to scaling.
///
/// Its pods are created at the same time, because the script clones one at a time: with `OrderedReady` a pod that never
/// becomes ready would block the template that repairs it.
fn stateful_set(app: &App, component: &Component, reader: &Reader, epoch: u64) -> Value {
    let mut metadata = to_value(&metadata(app, component));
    metadata["labels"][EPOCH] = json!(epoch.to_string());
    let name = names::component(app.name.as_str(), component.name.as_str());
    let mut stateful_set = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata,
        "spec": {
            "minReadySeconds": 0,
            "podManagementPolicy": "Parallel",
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"},
            "selector": {"matchLabels": labels::selected_by_component(app, component)},
            "serviceName": name,
            "template": pod_template::pod_template(app, component),
            "updateStrategy": {"type": "RollingUpdate"},
        },
    });
    if let Some(size) = &reader.storage {
        let mut claim = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        });
        if let Some(class) = &reader.storage_class {
            claim["storageClassName"] = json!(class);
        }
        stateful_set["spec"]["volumeClaimTemplates"] = json!([{
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "labels": labels::of_component(app, component)},
            "spec": claim,
        }]);
    }
    stateful_set
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
    let own = json!({
        "name": component.name.as_str(),
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "data", "mountPath": DATA_FOLDER},
            {"name": "primary", "mountPath": SECRET_FOLDER, "readOnly": true},
            {"name": "run", "mountPath": RUN_FOLDER},
            {"name": "script", "mountPath": SCRIPT_FOLDER, "readOnly": true},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
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
    if reader.storage.is_none() {
        volumes.push(json!({"name": "data", "emptyDir": {}}));
    }
    volumes
}
