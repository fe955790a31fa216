//! Fields of `podTemplate` that the operator owns: each is refused with the field to use instead. Pure.
//!
//! All other fields pass here, known or not.

use super::app::{HTTP_PORT, METRICS_PORT};
use super::invalid::Problems;
use super::path::Path;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Fields of the pod that the operator owns, or that no template may have.
const OWNED_BY_POD: [(&str, &str); 5] = [
    ("serviceAccountName", OWN_SERVICE_ACCOUNT),
    ("serviceAccount", OWN_SERVICE_ACCOUNT),
    (
        "automountServiceAccountToken",
        "remove it: pods get no token by default; mount one with a projected volume where it is needed",
    ),
    ("restartPolicy", "remove it: the containers of a service are always restarted"),
    ("ephemeralContainers", "remove it: kubectl debug adds them to a running pod"),
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

/// How the names of the operator's own volumes begin.
const VOLUME_PREFIX: &str = "scalableapp-";

/// Labels of the operator, besides all that begin with `scalableapp.dev/`.
const OWNED_LABELS: [&str; 5] = [
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
];

/// Limits of a pod's time to stop, in seconds. It waits for 5 of them before the signal, and must have some left.
const TERMINATION_GRACE_PERIOD: std::ops::RangeInclusive<i64> = 6..=3600;

/// Checks the template of the component with this name, which has a valid shape.
pub(super) fn check(template: &Map<String, Value>, component: &str, path: Path<'_>, problems: &mut Problems) {
    if let Some(metadata) = template.get("metadata").and_then(Value::as_object) {
        check_metadata(metadata, Path::Field(&path, "metadata"), problems);
    }
    if let Some(spec) = template.get("spec").and_then(Value::as_object) {
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
        let path = Path::Field(&path, list);
        for key in metadata.get(list).and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            if key.starts_with("scalableapp.dev/") || OWNED_LABELS.contains(&key.as_str()) {
                problems.refuse(Path::Item(&path, key), "remove it: the operator sets it");
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
        let sentence = "use 6 to 3600 seconds: a pod waits for 5 before its stop signal";
        problems.refuse(Path::Field(&path, "terminationGracePeriodSeconds"), sentence);
    }
    check_ports_of_others(spec, component, path, problems);
    check_mounts(spec, path, problems);
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

/// The pod's volumes are those of its template. Those of the operator are for its own containers, under names with a
/// prefix of their own.
fn check_mounts(spec: &Map<String, Value>, path: Path<'_>, problems: &mut Problems) {
    let name = |item: &'_ Value| item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let volumes: BTreeSet<String> = list(spec, "volumes").iter().map(name).collect();
    for volume in volumes.iter().filter(|name| name.starts_with(VOLUME_PREFIX)) {
        let sentence = format!("give the volume a name that does not begin with {VOLUME_PREFIX}");
        problems.refuse(Path::Item(&Path::Field(&path, "volumes"), volume), sentence);
    }
    for field in ["containers", "initContainers"] {
        let containers = Path::Field(&path, field);
        for container in list(spec, field).iter().filter_map(Value::as_object) {
            let own = container.get("name").and_then(Value::as_str).unwrap_or_default();
            let container_path = Path::Item(&containers, own);
            for (mounts, place) in [("volumeMounts", "mountPath"), ("volumeDevices", "devicePath")] {
                let path = Path::Field(&container_path, mounts);
                for mount in list(container, mounts) {
                    let volume = name(mount);
                    if !volume.is_empty() && !volumes.contains(&volume) {
                        let at = mount.get(place).and_then(Value::as_str).unwrap_or_default();
                        let sentence = "add a volume of this name to podTemplate.spec.volumes";
                        problems.refuse(Path::Field(&Path::Item(&path, at), "name"), sentence);
                    }
                }
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

/// A list; empty if it is missing.
pub(super) fn list<'a>(object: &'a Map<String, Value>, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
