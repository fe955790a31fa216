//! The restricted Pod Security Standard, which `podTemplate` may not loosen. Pure.
//!
//! The operator renders pods that meet the standard, so only the user's fields can violate it. Source of the rules:
//! Kubernetes, "Pod Security Standards", profiles Baseline and Restricted, as `k8s.io/pod-security-admission` checks
//! them for 1.35. A test compares the two on its fixtures.

use super::invalid::Problems;
use super::path::Path;
use super::pod_template::list;
use serde_json::{Map, Value, json};

/// A field, whether a value of it is allowed, and what to do if it is not.
type Rule = (&'static str, fn(&Value) -> bool, &'static str);

/// Rules for a pod.
const POD: [Rule; 3] = [
    (
        "hostNetwork",
        is_false,
        "remove it: the restricted Pod Security Standard keeps pods off the host's network",
    ),
    (
        "hostPID",
        is_false,
        "remove it: the restricted Pod Security Standard keeps pods off the host's processes",
    ),
    ("hostIPC", is_false, "remove it: the restricted Pod Security Standard keeps pods off the host's memory"),
];

/// Rules for the `securityContext` of a pod and of a container.
const SECURITY_CONTEXT: [Rule; 11] = [
    (
        "privileged",
        is_false,
        "remove it: the restricted Pod Security Standard allows no privileged container",
    ),
    (
        "allowPrivilegeEscalation",
        is_false,
        "remove it: the restricted Pod Security Standard requires false, as the operator sets it",
    ),
    (
        "runAsNonRoot",
        is_true,
        "remove it: the restricted Pod Security Standard requires true, as the operator sets it",
    ),
    (
        "runAsUser",
        is_not_root,
        "use a user other than 0: the restricted Pod Security Standard allows no root",
    ),
    ("procMount", is_default, "remove it: the restricted Pod Security Standard allows only Default"),
    (
        "seccompProfile",
        is_confined,
        "use the type RuntimeDefault or Localhost: the restricted Pod Security Standard wants a profile",
    ),
    (
        "appArmorProfile",
        is_confined,
        "use the type RuntimeDefault or Localhost: the restricted Pod Security Standard wants a profile",
    ),
    (
        "seLinuxOptions",
        is_container_type,
        "set no user or role, and only a type made for containers: the restricted Pod Security Standard allows no other",
    ),
    (
        "windowsOptions",
        is_no_host_process,
        "remove hostProcess: the restricted Pod Security Standard allows no host process",
    ),
    ("sysctls", are_safe_sysctls, "use only the sysctls that the restricted Pod Security Standard allows"),
    (
        "capabilities",
        is_least_privilege,
        "drop ALL and add nothing but NET_BIND_SERVICE, as the restricted Pod Security Standard requires",
    ),
];

/// Rules for the `securityContext` that do not apply to a pod with its own user namespace (`hostUsers: false`).
const OF_HOST_USERS: [&str; 2] = ["runAsNonRoot", "runAsUser"];

/// Probes and hooks of a container that may name a host for a connection from the node.
const PROBES_AND_HOOKS: [&str; 5] =
    ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle/postStart", "lifecycle/preStop"];

/// Annotations of this prefix set the AppArmor profile of a container, as the field does.
const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Sources of volumes other than the host's.
const VOLUME_SOURCES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Sysctls that affect the pod only.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Checks a template with a valid shape.
pub(super) fn check(template: &Map<String, Value>, path: Path<'_>, problems: &mut Problems) {
    check_annotations(template, path, problems);
    let Some(spec) = template.get("spec").and_then(Value::as_object) else { return };
    let path = Path::Field(&path, "spec");
    check_rules(POD.iter(), spec, path, problems);
    let has_users = spec.get("hostUsers").is_some_and(is_false);
    check_security_context(spec, has_users, path, problems);
    for field in ["containers", "initContainers"] {
        let path = Path::Field(&path, field);
        for container in list(spec, field).iter().filter_map(Value::as_object) {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            let path = Path::Item(&path, name);
            check_security_context(container, has_users, path, problems);
            check_ports(container, path, problems);
            check_hosts(container, path, problems);
        }
    }
    check_volumes(spec, Path::Field(&path, "volumes"), problems);
}

fn check_rules<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    object: &Map<String, Value>,
    path: Path<'_>,
    problems: &mut Problems,
) {
    for (field, is_allowed, sentence) in rules {
        if object.get(*field).is_some_and(|value| !is_allowed(value)) {
            problems.refuse(Path::Field(&path, field), *sentence);
        }
    }
}

/// `has_users` means that the pod's users are not the host's.
fn check_security_context(
    object: &Map<String, Value>,
    has_users: bool,
    path: Path<'_>,
    problems: &mut Problems,
) {
    let Some(Value::Object(context)) = object.get("securityContext") else { return };
    let rules = SECURITY_CONTEXT.iter().filter(|(field, ..)| !(has_users && OF_HOST_USERS.contains(field)));
    check_rules(rules, context, Path::Field(&path, "securityContext"), problems);
}

fn check_annotations(template: &Map<String, Value>, path: Path<'_>, problems: &mut Problems) {
    let annotations = template.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let path = Path::Field(&path, "metadata");
    let path = Path::Field(&path, "annotations");
    for (key, value) in annotations.and_then(Value::as_object).into_iter().flatten() {
        let profile = value.as_str().unwrap_or_default();
        let is_confined =
            profile.is_empty() || profile == "runtime/default" || profile.starts_with("localhost/");
        if key.starts_with(APP_ARMOR_ANNOTATION) && !is_confined {
            let sentence = "use runtime/default or localhost/PROFILE: the restricted Pod Security Standard wants a profile";
            problems.refuse(Path::Item(&path, key), sentence);
        }
    }
}

/// The kubelet connects from the node, so such a host could be anything that the node reaches.
fn check_hosts(container: &Map<String, Value>, path: Path<'_>, problems: &mut Problems) {
    for field in PROBES_AND_HOOKS {
        let action = field.split('/').try_fold(container, |object, name| object.get(name)?.as_object());
        let Some(action) = action else { continue };
        let field = field.replace('/', ".");
        let path = Path::Field(&path, &field);
        for kind in ["httpGet", "tcpSocket"] {
            let host = action.get(kind).and_then(|action| action.get("host"));
            if host.is_some_and(|host| *host != json!("")) {
                let path = Path::Field(&path, kind);
                let sentence = "remove it: the restricted Pod Security Standard allows only the pod itself";
                problems.refuse(Path::Field(&path, "host"), sentence);
            }
        }
    }
}

fn check_ports(container: &Map<String, Value>, path: Path<'_>, problems: &mut Problems) {
    let ports = Path::Field(&path, "ports");
    for (index, port) in list(container, "ports").iter().enumerate() {
        if port.get("hostPort").is_some_and(|port| *port != json!(0)) {
            let item = Path::Index(&ports, index);
            let sentence = "remove it: the restricted Pod Security Standard keeps pods off the host's ports";
            problems.refuse(Path::Field(&item, "hostPort"), sentence);
        }
    }
}

fn check_volumes(spec: &Map<String, Value>, path: Path<'_>, problems: &mut Problems) {
    for volume in list(spec, "volumes").iter().filter_map(Value::as_object) {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
        for source in volume.keys().filter(|key| *key != "name" && !VOLUME_SOURCES.contains(&key.as_str())) {
            let item = Path::Item(&path, name);
            let sentence = format!("use one of {}", VOLUME_SOURCES.join(", "));
            problems.refuse(Path::Field(&item, source), sentence);
        }
    }
}

fn is_false(value: &Value) -> bool {
    *value == json!(false)
}

fn is_true(value: &Value) -> bool {
    *value == json!(true)
}

fn is_not_root(value: &Value) -> bool {
    *value != json!(0)
}

fn is_default(value: &Value) -> bool {
    *value == json!("Default")
}

fn is_confined(value: &Value) -> bool {
    matches!(value.get("type").and_then(Value::as_str), Some("RuntimeDefault" | "Localhost"))
}

fn is_container_type(value: &Value) -> bool {
    let allowed = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let text = |field| value.get(field).and_then(Value::as_str).unwrap_or_default();
    allowed.contains(&text("type")) && text("user").is_empty() && text("role").is_empty()
}

fn is_no_host_process(value: &Value) -> bool {
    value.get("hostProcess").is_none_or(is_false)
}

fn are_safe_sysctls(value: &Value) -> bool {
    let is_safe = |sysctl: &Value| {
        sysctl.get("name").and_then(Value::as_str).is_some_and(|name| SAFE_SYSCTLS.contains(&name))
    };
    value.as_array().is_some_and(|sysctls| sysctls.iter().all(is_safe))
}

fn is_least_privilege(value: &Value) -> bool {
    let names = |field| value.get(field).and_then(Value::as_array);
    names("add").is_none_or(|added| added.iter().all(|name| *name == json!("NET_BIND_SERVICE")))
        && names("drop").is_none_or(|dropped| dropped.contains(&json!("ALL")))
}
