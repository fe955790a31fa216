//! Fields of `podTemplate` that the operator owns, refused by name together with the field to use instead. Pure.
//!
//! Everything else passes, known or not: the API server is asked about it before a revision starts.

use super::app::{HTTP_PORT, METRICS_PORT};
use super::invalid::Problems;
use super::path::Path;
use serde_json::{Map, Value};

/// Fields of the pod that the operator owns.
const OWNED_BY_POD: [(&str, &str); 4] = [
    ("serviceAccountName", OWN_SERVICE_ACCOUNT),
    ("serviceAccount", OWN_SERVICE_ACCOUNT),
    (
        "automountServiceAccountToken",
        "remove it: pods get no token unasked; mount one with a projected volume where it is needed",
    ),
    ("restartPolicy", "remove it: the containers of a service are always restarted"),
];

const OWN_SERVICE_ACCOUNT: &str =
    "remove it: the pods run as a ServiceAccount of the component's own, to which roles can be bound";

/// Fields of the component's own container that the service itself has.
const OWNED_BY_CONTAINER: [(&str, &str); 9] = [
    ("image", "image"),
    ("command", "command"),
    ("args", "args"),
    ("env", "env"),
    ("ports", "port and metricsPort"),
    ("resources", "resources"),
    ("readinessProbe", "probes.readiness"),
    ("livenessProbe", "probes.liveness"),
    ("startupProbe", "probes.startup"),
];

/// Names of the ports of the component's own container.
const PORT_NAMES: [&str; 2] = [HTTP_PORT, METRICS_PORT];

/// Labels of the operator, besides all that begin with `scalableapp.dev/`.
const OWNED_LABELS: [&str; 5] = [
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
];

/// Seconds that a pod may be given to stop. It waits for 5 of them before it is told to, and must have some left.
const TERMINATION_GRACE_PERIOD: std::ops::RangeInclusive<i64> = 6..=3600;

/// Checks the template of the component with this name.
pub(super) fn check(template: &Map<String, Value>, component: &str, path: Path<'_>, problems: &mut Problems) {
    for field in template.keys().filter(|field| !["metadata", "spec"].contains(&field.as_str())) {
        let sentence = format!("move {field} under podTemplate.spec or podTemplate.metadata");
        problems.refuse(Path::Field(&path, field), sentence);
    }
    if let Some(metadata) = object(template, "metadata", path, problems) {
        check_metadata(metadata, Path::Field(&path, "metadata"), problems);
    }
    if let Some(spec) = object(template, "spec", path, problems) {
        check_spec(spec, component, Path::Field(&path, "spec"), problems);
    }
}

fn check_metadata(metadata: &Map<String, Value>, path: Path<'_>, problems: &mut Problems) {
    for field in ["name", "generateName", "namespace"] {
        if metadata.contains_key(field) {
            let sentence = "remove it: pods are named by the operator and run in the app's namespace";
            problems.refuse(Path::Field(&path, field), sentence);
        }
    }
    for list in ["annotations", "labels"] {
        let Some(entries) = object(metadata, list, path, problems) else { continue };
        let path = Path::Field(&path, list);
        for (key, value) in entries {
            let item = Path::Item(&path, key);
            if key.starts_with("scalableapp.dev/") || OWNED_LABELS.contains(&key.as_str()) {
                problems.refuse(item, "remove it: the operator sets it");
            } else if !value.is_string() {
                problems.refuse(item, "put the value in quotes: it must be a string");
            }
        }
    }
}

fn check_spec(spec: &Map<String, Value>, component: &str, path: Path<'_>, problems: &mut Problems) {
    for (field, sentence) in OWNED_BY_POD {
        if spec.contains_key(field) {
            problems.refuse(Path::Field(&path, field), sentence);
        }
    }
    if let Some(seconds) = spec.get("terminationGracePeriodSeconds")
        && !seconds.as_i64().is_some_and(|seconds| TERMINATION_GRACE_PERIOD.contains(&seconds))
    {
        let sentence = "use 6 to 3600 seconds: a pod waits for 5 before it is told to stop";
        problems.refuse(Path::Field(&path, "terminationGracePeriodSeconds"), sentence);
    }
    for list in ["containers", "initContainers", "volumes"] {
        check_names(spec, list, path, problems);
    }
    check_ports_of_others(spec, component, path, problems);
    let containers = Path::Field(&path, "containers");
    let own = |container: &&Value| container.get("name").and_then(Value::as_str) == Some(component);
    if let Some(container) = list(spec, "containers").iter().find(own) {
        check_own_container(container, Path::Item(&containers, component), problems);
    }
}

/// The NetworkPolicy opens the component's own ports by their names, in whichever container they are.
fn check_ports_of_others(
    spec: &Map<String, Value>,
    component: &str,
    path: Path<'_>,
    problems: &mut Problems,
) {
    for field in ["containers", "initContainers"] {
        let path = Path::Field(&path, field);
        for container in list(spec, field) {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
            let mut names = ports.filter_map(|port| port.get("name").and_then(Value::as_str));
            if name != component
                && let Some(port) = names.find(|port| PORT_NAMES.contains(port))
            {
                let sentence =
                    format!("give the port {port} another name: the component's own ports have this one");
                problems.refuse(Path::Field(&Path::Item(&path, name), "ports"), sentence);
            }
        }
    }
}

fn check_own_container(container: &Value, path: Path<'_>, problems: &mut Problems) {
    for (field, instead) in OWNED_BY_CONTAINER {
        if container.get(field).is_some() {
            problems.refuse(Path::Field(&path, field), format!("set the service's {instead} instead"));
        }
    }
    if container.pointer("/lifecycle/preStop").is_some() {
        let sentence =
            "remove it: the operator keeps a stopping container serving until no request is sent to it";
        problems.refuse(Path::Field(&Path::Field(&path, "lifecycle"), "preStop"), sentence);
    }
}

/// Lists are merged by name, so that each item needs one.
fn check_names(spec: &Map<String, Value>, name: &str, path: Path<'_>, problems: &mut Problems) {
    let path = Path::Field(&path, name);
    if spec.get(name).is_some_and(|value| !value.is_array()) {
        problems.refuse(path, format!("write {name} as a list"));
    }
    let mut names = std::collections::BTreeSet::new();
    for (index, item) in list(spec, name).iter().enumerate() {
        match item.get("name").and_then(Value::as_str) {
            Some(name) if names.insert(name) => {}
            Some(name) => problems.refuse(Path::Item(&path, name), "give it a name of its own"),
            None => problems.refuse(Path::Index(&path, index), "give it a name"),
        }
    }
}

/// A field that must be an object if it is there.
fn object<'a>(
    parent: &'a Map<String, Value>,
    field: &str,
    path: Path<'_>,
    problems: &mut Problems,
) -> Option<&'a Map<String, Value>> {
    let value = parent.get(field)?;
    if !value.is_object() {
        problems.refuse(Path::Field(&path, field), format!("write {field} as an object"));
    }
    value.as_object()
}

/// A list, empty if it is not there.
pub(super) fn list<'a>(object: &'a Map<String, Value>, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
