//! The revision of a component's pods. Pure.

use super::app::Pod;
use super::canonical::canonical;
use super::pod_fields::{meaning, meaning_in_container};
use scalableapp_crds::{GoDuration, Probes};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Version of the rendering. It rises when a release renders other pods from the same input, because a changed template
/// under the same name would restart the pods of that name.
pub const RENDER_VERSION: u32 = 1;

/// Characters of a revision.
const LENGTH: usize = 10;

/// The first 10 hexadecimal digits of the SHA-256 of the user's pod inputs and [`RENDER_VERSION`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(String);

impl Revision {
    /// Hashes the user's input without the operator's defaults: a later release with more defaults must not restart the
    /// pods of an unchanged app. For the same reason absent fields are left out. Values that are equal for Kubernetes
    /// have the same hash, such as `1` and `1000m`.
    pub(super) fn of(pod: &Pod, probes: &Probes) -> Self {
        let mut inputs = json!({
            "renderVersion": RENDER_VERSION,
            "image": pod.image,
            "command": pod.command,
            "args": pod.args,
            "env": meaning_in_container("env", &json!(pod.env)),
            "port": pod.port,
            "metricsPort": pod.metrics_port,
            "resources": meaning_in_container("resources", &json!(pod.resources)),
            "probes": with_lengths(json!(probes)),
            "podTemplate": meaning(&pod.template.object()),
        });
        if let Some(seconds) = pod.drain_seconds {
            inputs["drainSeconds"] = seconds.into();
        }
        if let Some(cache) = &pod.cache {
            // It changes in place.
            for list in ["requests", "limits"] {
                inputs["resources"]
                    .as_object_mut()
                    .and_then(|all| all.get_mut(list)?.as_object_mut()?.remove("memory"));
            }
            if let Some(secret) = &cache.tls {
                inputs["tls"] = secret.as_str().into();
            }
            inputs["cache"] = json!({
                "engine": cache.engine,
                "exporterImage": cache.exporter_image,
                "eviction": cache.eviction,
                "maxClients": cache.max_clients,
            });
        }
        if !pod.caches.is_empty() {
            let mut caches: Vec<&str> = pod.caches.iter().map(|cache| cache.name.as_str()).collect();
            caches.sort_unstable();
            inputs["caches"] = caches.into();
            let tls = pod.caches.iter().filter_map(|cache| Some((cache.name.clone(), cache.tls.clone()?)));
            let tls: BTreeMap<String, String> = tls.collect();
            if !tls.is_empty() {
                inputs["tlsOfCaches"] = json!(tls);
            }
        }
        if !pod.databases.is_empty() {
            inputs["databases"] = meaning_in_container("env", &json!(pod.databases));
        }
        if let Some(database) = &pod.pool {
            inputs["connectionPool"] = json!(database);
        }
        if let Some(reader) = &pod.reader {
            inputs["reader"] = reader.inputs();
        }
        let digest = Sha256::digest(canonical(&inputs).to_string());
        let mut hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.truncate(LENGTH);
        Self(hex)
    }

    /// The revision as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Probes with durations as lengths instead of strings.
fn with_lengths(mut probes: Value) -> Value {
    for probe in probes.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        for field in ["initialDelay", "period", "timeout"] {
            let Some(Value::String(text)) = probe.get_mut(field) else { continue };
            if let Ok(length) = GoDuration(text.clone()).parse() {
                *text = format!("{}ns", length.as_nanos());
            }
        }
    }
    probes
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::resolve;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn service() -> Value {
        json!({
            "name": "web",
            "image": "shop:1",
            "command": ["/shop"],
            "args": ["a", "b"],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}],
            "port": 8080,
            "metricsPort": 9090,
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
            "probes": {"liveness": {"tcpSocket": {"port": 8080}}},
            "podTemplate": {
                "metadata": {"labels": {"team": "a", "room": "b"}},
                "spec": {
                    "nodeSelector": {"a": "1", "b": "2"},
                    "tolerations": [{"key": "a"}, {"key": "b"}],
                    "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}],
                },
            },
            "scaling": {"maxReplicas": 3, "metrics": [{"name": "rps", "requestRate": {"perReplica": 20}}]},
        })
    }

    /// Revision of an app with this service, given as text to keep the order of its keys.
    fn revision_of(service: &str) -> Revision {
        let metadata = r#"{"name": "shop", "namespace": "shop", "uid": "1"}"#;
        let app = format!(r#"{{"metadata": {metadata}, "spec": {{"services": [{service}]}}}}"#);
        let app = resolve(&serde_json::from_str(&app).expect("an app")).expect("no problem");
        app.components[0].revision.clone()
    }

    /// The same value as text, with the keys of each object in an order that depends on the seed.
    fn shuffled(value: &Value, seed: u64) -> String {
        match value {
            Value::Object(object) => {
                let mut fields: Vec<_> = object.iter().collect();
                fields.sort_by_key(|(key, _)| Sha256::digest(format!("{seed}{key}")).to_vec());
                let fields: Vec<String> = fields
                    .into_iter()
                    .map(|(key, value)| format!("{}:{}", json!(key), shuffled(value, seed)))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| shuffled(item, seed)).collect();
                format!("[{}]", items.join(","))
            }
            _ => value.to_string(),
        }
    }

    fn changed(pointer: &str, value: Value) -> Revision {
        let mut service = service();
        *service.pointer_mut(pointer).expect("a field") = value;
        revision_of(&service.to_string())
    }

    #[test]
    fn a_revision_is_the_same_in_every_release_of_this_render_version() {
        let revision = revision_of(r#"{"name": "web", "image": "shop:1", "port": 8080}"#);
        assert_eq!((RENDER_VERSION, revision.as_str()), (1, "20b40aa24c"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_order_of_keys_makes_no_revision(seed: u64) {
            let service = service();
            prop_assert_eq!(revision_of(&shuffled(&service, seed)), revision_of(&service.to_string()));
        }
    }

    #[test]
    fn an_order_of_items_that_means_nothing_makes_no_revision() {
        let before = revision_of(&service().to_string());
        for pointer in ["/podTemplate/spec/volumes", "/podTemplate/spec/tolerations"] {
            let mut items = service().pointer(pointer).and_then(Value::as_array).expect("a list").clone();
            items.reverse();
            assert_eq!(changed(pointer, json!(items)), before, "{pointer}");
        }
    }

    #[test]
    fn what_kubernetes_takes_for_the_same_makes_no_revision() {
        let with = |pointer: &str, value: Value| {
            let mut service = service();
            service["podTemplate"]["spec"]["containers"] = json!([{
                "name": "proxy", "image": "proxy:1", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                "livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 10},
            }]);
            service["podTemplate"]["spec"]["volumes"] =
                json!([{"name": "a", "emptyDir": {"sizeLimit": "1Gi"}}]);
            service["env"] = json!([{"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": 1}}}]);
            service["probes"] = json!({"liveness": {"tcpSocket": {}, "period": "60s"}});
            service["resources"] = json!({"requests": {"cpu": "1", "memory": "1Gi"}});
            let parent = pointer.rsplit_once('/').expect("a path");
            service.pointer_mut(parent.0).expect("an object")[parent.1] = value;
            revision_of(&service.to_string())
        };
        let before = with("/port", json!(8080));
        let proxy = "/podTemplate/spec/containers/0";
        for (pointer, values) in [
            (
                "/resources/requests/cpu",
                vec![json!(1), json!(1.0), json!("1000m"), json!("1.0"), json!("1e0")],
            ),
            ("/resources/requests/memory", vec![json!("1024Mi"), json!(1_073_741_824)]),
            ("/resources/limits", vec![json!({})]),
            ("/env/0/valueFrom/resourceFieldRef/divisor", vec![json!("1"), json!("1000m")]),
            ("/probes/liveness/period", vec![json!("1m"), json!("60000ms"), json!("0.5m30s")]),
            (&format!("{proxy}/resources/limits/cpu"), vec![json!(1), json!("1000m")]),
            (&format!("{proxy}/resources/requests"), vec![json!({})]),
            (&format!("{proxy}/env"), vec![json!([]), Value::Null]),
            (&format!("{proxy}/livenessProbe/periodSeconds"), vec![json!(10.0)]),
            ("/podTemplate/spec/volumes/0/emptyDir/sizeLimit", vec![json!("1024Mi")]),
            ("/podTemplate/spec/imagePullSecrets", vec![json!([])]),
            ("/podTemplate/metadata/annotations", vec![json!({})]),
        ] {
            for value in values {
                assert_eq!(with(pointer, value.clone()), before, "{pointer} {value}");
            }
        }
        for (pointer, value) in [
            ("/resources/requests/cpu", json!("1001m")),
            ("/probes/liveness/period", json!("61s")),
            ("/podTemplate/spec/volumes/0/emptyDir", json!({})),
            ("/podTemplate/spec/affinity", json!({"podAntiAffinity": {}})),
            ("/podTemplate/metadata/annotations", json!({"sizeLimit": "1"})),
        ] {
            assert_ne!(with(pointer, value.clone()), before, "{pointer} {value}");
        }
        let annotated = |value: &str| with("/podTemplate/metadata/annotations", json!({"cpu": value}));
        assert_ne!(annotated("1"), annotated("1000m"), "text is text");
    }

    #[test]
    fn nothing_but_pods_makes_a_revision() {
        let before = revision_of(&service().to_string());
        assert_eq!(changed("/scaling/maxReplicas", json!(9)), before);
        assert_eq!(changed("/scaling/metrics/0/name", json!("other")), before);
        let mut service = service();
        service["rollout"] = json!({"rolling": {"maxSurge": 1}});
        service["podTemplate"]["spec"]["nodeName"] = Value::Null;
        assert_eq!(revision_of(&service.to_string()), before);
    }

    #[test]
    fn every_change_of_the_pods_makes_a_revision() {
        let mut revisions = vec![revision_of(&service().to_string())];
        for (pointer, value) in [
            ("/image", json!("shop:2")),
            ("/command", json!([])),
            ("/args", json!(["b", "a"])),
            ("/env", json!([{"name": "B", "value": "$(A)"}, {"name": "A", "value": "1"}])),
            ("/env/0/value", json!("2")),
            ("/port", json!(8081)),
            ("/metricsPort", json!(9091)),
            ("/resources/requests/cpu", json!("200m")),
            ("/resources/limits", json!({})),
            ("/probes/liveness", json!({"tcpSocket": {"port": 9090}})),
            ("/podTemplate/metadata/labels", json!({"team": "b"})),
            ("/podTemplate/spec/nodeSelector", json!({"a": "2"})),
            ("/podTemplate/spec/volumes/0", json!({"name": "a", "configMap": {"name": "a"}})),
            ("/podTemplate/spec", Value::Object(Map::new())),
        ] {
            revisions.push(changed(pointer, value));
        }
        let count = revisions.len();
        revisions.sort();
        revisions.dedup();
        assert_eq!(revisions.len(), count);
    }

    #[test]
    fn a_revision_fits_the_name_of_a_deployment() {
        let revision = revision_of(&service().to_string());
        assert_eq!(revision.as_str().len(), 10);
        assert!(revision.as_str().chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase()));
    }
}
