//! By which fields server-side apply tells the items of a pod's lists apart. Pure.

use serde_json::Value;

/// The lists whose items have keys (`x-kubernetes-list-map-keys` in Kubernetes' own schema of a pod template). Every
/// other list is replaced as a whole, tolerations among them.
const KEYS: [(&str, &[&str]); 15] = [
    ("claims", &["name"]),
    ("containers", &["name"]),
    ("env", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("hostAliases", &["ip"]),
    ("imagePullSecrets", &["name"]),
    ("initContainers", &["name"]),
    ("ownerReferences", &["uid"]),
    ("ports", &["containerPort", "protocol"]),
    ("resourceClaims", &["name"]),
    ("schedulingGates", &["name"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeDevices", &["devicePath"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

/// The keys of a list's items; nothing for a list that has none.
#[must_use]
pub fn keys_of(list: &str) -> Option<&'static [&'static str]> {
    KEYS.iter().find(|(name, _)| *name == list).map(|(_, keys)| *keys)
}

/// The value of a key, or its default: a port that names no protocol is one of TCP.
#[must_use]
pub fn key<'a>(item: &'a Value, key: &str) -> ListKey<'a> {
    match (item.get(key), key) {
        (Some(Value::String(text)), "protocol") if text.is_empty() => ListKey::Text("TCP"),
        (Some(Value::String(text)), _) => ListKey::Text(text),
        (None | Some(Value::Null), "protocol") => ListKey::Text("TCP"),
        (None | Some(Value::Null), _) => ListKey::Missing,
        (Some(value), _) => ListKey::Other(value),
    }
}

/// What a key may be.
#[derive(Clone, Copy, PartialEq)]
pub enum ListKey<'a> {
    /// Text, as most keys are.
    Text(&'a str),
    /// A number, such as that of a port, or what no key may be.
    Other(&'a Value),
    /// Not there, and without a default.
    Missing,
}
