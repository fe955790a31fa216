//! The containers, files and volumes of a shard. Pure.
//!
//! The script that starts it is in the folder beside this file. The password is in no argument: the server reads it from
//! a file of the Secret, the others from their environment.

use super::settings::{Memory, Settings};
use super::{container, metadata, names};
use crate::resolve::app::{App, Cache, Component};
use crate::resolve::cache::{METRICS_PORT, PORT, TLS_FOLDER, exporter};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

/// Key of the password in the Secret.
const PASSWORD: &str = "password";
/// Key of the server's configuration in the Secret, which has the password and nothing else.
const CONFIGURATION: &str = "redis.conf";

/// User and group of the default images, for any image: the server needs no user of its own.
const USER: u32 = 999;
/// Read by owner and group, in decimal because JSON has no octal numbers.
const READ_ONLY: u32 = 0o440;

const DATA: &str = "scalableapp-data";
const DATA_FOLDER: &str = "/data";
const SECRET: &str = "scalableapp-password";
const SECRET_FOLDER: &str = "/etc/scalableapp/password";
const TLS: &str = "scalableapp-tls";
/// Keys of the Secret with the certificate.
const AUTHORITY: &str = "ca.crt";
const CERTIFICATE: [&str; 2] = ["tls.crt", "tls.key"];
const SHARD: &str = "scalableapp-shard";
const SHARD_FOLDER: &str = "/etc/scalableapp/shard";

/// Key of the script that starts the server.
const SCRIPT: &str = "shard.sh";
const SCRIPT_TEXT: &str = include_str!("cache/shard.sh");
/// Key of the memory of a shard in bytes, which the script follows.
const MEMORY: &str = "memory";

/// The files of the shards: their script, and what they follow.
pub(super) fn config_map(app: &App, component: &Component, memory: Memory) -> ConfigMap {
    let data = [(SCRIPT, SCRIPT_TEXT.to_owned()), (MEMORY, memory.bytes.to_string())];
    ConfigMap {
        metadata: metadata(app, component),
        data: Some(data.map(|(key, value)| (key.to_owned(), value)).into()),
        ..ConfigMap::default()
    }
}

/// The memory of the shards.
pub(super) fn memory(component: &Component, cache: &Cache, settings: &Settings) -> Memory {
    let declared = Memory { bytes: cache.memory, replaces: false };
    settings.memory.get(component.name.as_str()).copied().unwrap_or(declared)
}

/// The fields of a StatefulSet that its memory decides. The pods are replaced by its controller only where they differ in
/// more than their memory.
pub(super) fn resized(component: &Component, cache: &Cache, memory: Memory) -> Value {
    let strategy = if memory.replaces { "RollingUpdate" } else { "OnDelete" };
    let mut fields = json!({"updateStrategy": {"type": strategy}});
    if memory.bytes != cache.memory {
        let bytes = json!({"memory": memory.bytes.to_string()});
        let container =
            json!({"name": component.name.as_str(), "resources": {"requests": bytes, "limits": bytes}});
        fields["template"] = json!({"spec": {"containers": [container]}});
    }
    json!({"spec": fields})
}

/// The shard's own container and its exporter.
pub(super) fn containers(app: &App, component: &Component, cache: &Cache) -> Vec<Value> {
    let mut shard = container::container(app, component);
    shard["command"] = json!(["sh", format!("{SHARD_FOLDER}/{SCRIPT}"), cache.engine.name()]);
    shard["args"] = json!(args(cache));
    // Clients of both engines read this variable.
    shard["env"] = json!([password(app, component.name.as_str(), "REDISCLI_AUTH", false)]);
    shard["ports"] = json!([{"name": "redis", "containerPort": PORT, "protocol": "TCP"}]);
    shard["volumeMounts"] = json!([
        {"name": DATA, "mountPath": DATA_FOLDER},
        {"name": SECRET, "mountPath": SECRET_FOLDER, "readOnly": true},
        {"name": SHARD, "mountPath": SHARD_FOLDER, "readOnly": true},
    ]);
    let mounts = shard["volumeMounts"].as_array_mut();
    if let Some(mounts) = mounts.filter(|_| cache.tls.is_some()) {
        mounts.push(json!({"name": TLS, "mountPath": TLS_FOLDER, "readOnly": true}));
    }
    let scheme = if cache.tls.is_some() { "rediss" } else { "redis" };
    let mut exporter = json!({
        "name": exporter(component.name.as_str()),
        "image": cache.exporter_image,
        "env": [
            {"name": "REDIS_ADDR", "value": format!("{scheme}://127.0.0.1:{PORT}")},
            password(app, component.name.as_str(), "REDIS_PASSWORD", false),
        ],
        "ports": [{"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}],
        // Utilization needs a request of every container.
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
    });
    if let Some(env) = exporter["env"].as_array_mut().filter(|_| cache.tls.is_some()) {
        // No certificate is for the address of the pod itself, which nobody else can have.
        env.push(json!({"name": "REDIS_EXPORTER_SKIP_TLS_VERIFICATION", "value": "true"}));
    }
    vec![shard, exporter]
}

/// What the script gives the server, beside its port and its memory. Nothing is saved: a fork for a snapshot could double
/// the memory. Clients get at most a part of it.
fn args(cache: &Cache) -> Vec<String> {
    let fixed = [
        "--dir",
        DATA_FOLDER,
        "--save",
        "",
        "--appendonly",
        "no",
        "--maxmemory-policy",
        cache.eviction.name(),
        "--maxmemory-samples",
        "10",
        "--maxmemory-clients",
        "5%",
    ];
    let mut args = fixed.map(str::to_owned).to_vec();
    if let Some(clients) = cache.max_clients {
        args.extend(["--maxclients".to_owned(), clients.to_string()]);
    }
    args
}

/// The volumes of a shard.
pub(super) fn volumes(app: &App, component: &Component, cache: &Cache) -> Value {
    let secret = names::password(app.name.as_str(), component.name.as_str(), &app.uid);
    let items = [CONFIGURATION, PASSWORD].map(|key| json!({"key": key, "path": key}));
    let mut volumes = json!([
        {"name": DATA, "emptyDir": {}},
        {"name": SECRET, "secret": {
            "secretName": secret,
            "defaultMode": READ_ONLY,
            "items": items,
        }},
        {"name": SHARD, "configMap": {"name": names::component(app.name.as_str(), component.name.as_str())}},
    ]);
    if let (Some(volumes), Some(secret)) = (volumes.as_array_mut(), &cache.tls) {
        let items = CERTIFICATE.iter().chain([&AUTHORITY]).map(|key| json!({"key": key, "path": key}));
        let items: Vec<Value> = items.collect();
        let secret = json!({"secretName": secret, "defaultMode": READ_ONLY, "items": items});
        volumes.push(json!({"name": TLS, "secret": secret}));
    }
    volumes
}

/// User and groups of the pods, which a podTemplate may change.
pub(super) fn security_context() -> Value {
    json!({"runAsUser": USER, "runAsGroup": USER, "fsGroup": USER})
}

/// The password of a cache as a file of its consumers. They start without it, and get it when it is there.
pub(super) fn password_file(app: &App, cache: &str, file: &str) -> Value {
    let secret = names::password(app.name.as_str(), cache, &app.uid);
    json!({"secret": {"name": secret, "optional": true, "items": [{"key": PASSWORD, "path": file}]}})
}

/// The certificate of a cache's authority as a file of its consumers.
pub(super) fn authority_file(secret: &str, file: &str) -> Value {
    json!({"secret": {"name": secret, "optional": true, "items": [{"key": AUTHORITY, "path": file}]}})
}

/// A variable with the password of a cache. A container with an `optional` one starts without the Secret, too.
pub(super) fn password(app: &App, cache: &str, variable: &str, optional: bool) -> Value {
    let secret = names::password(app.name.as_str(), cache, &app.uid);
    let mut key = json!({"name": secret, "key": PASSWORD});
    if optional {
        key["optional"] = true.into();
    }
    json!({"name": variable, "valueFrom": {"secretKeyRef": key}})
}

/// The Secret of a cache with its password, which is in this object alone.
#[must_use]
pub fn secret(app: &App, component: &Component, password: &str) -> Secret {
    let configuration = format!("requirepass {password}\n");
    let data = [(PASSWORD, password.to_owned()), (CONFIGURATION, configuration)];
    let name = names::password(app.name.as_str(), component.name.as_str(), &app.uid);
    Secret {
        metadata: ObjectMeta { name: Some(name), ..metadata(app, component) },
        string_data: Some(data.map(|(key, value)| (key.to_owned(), value)).into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}
