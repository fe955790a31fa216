//! The list keys of server-side apply in a pod. Pure.

use serde_json::Value;

/// The lists with item keys (`x-kubernetes-list-map-keys` in Kubernetes' own schema of a pod template). Every other
/// list is replaced as a whole, tolerations included.
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

/// The keys of a list's items; `None` for a list without keys.
#[must_use]
pub fn keys_of(list: &str) -> Option<&'static [&'static str]> {
    KEYS.iter().find(|(name, _)| *name == list).map(|(_, keys)| *keys)
}

/// The value of a key, or its default: a port without a protocol has TCP.
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

/// The value of a key.
#[derive(Clone, Copy, PartialEq)]
pub enum ListKey<'a> {
    /// A string, as most are.
    Text(&'a str),
    /// A number, such as that of a port, or a value that no key may have.
    Other(&'a Value),
    /// Missing, and without a default.
    Missing,
}
