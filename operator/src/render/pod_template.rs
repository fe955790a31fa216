//! The template of a component's pods: the operator's defaults, overwritten by the user's fields, overwritten by the
//! fields that the operator owns. Pure.

use super::merge::merge;
use super::{cache, container, labels, names, reader, settings};
use crate::resolve::app::{App, Component};
use serde_json::{Value, json};

/// Annotation of a pod that serves `/metrics`, with the port. Discovery uses it, because a pod with metrics on its
/// service port has no port named `metrics`.
pub const METRICS_PORT_ANNOTATION: &str = "scalableapp.dev/metrics-port";

/// Seconds that a pod has to stop, the wait before the signal included.
const TERMINATION_GRACE_PERIOD_SECONDS: u32 = 40;

/// Seconds of a worker's grace period after its jobs had their time: it has to end, too.
const SECONDS_TO_END: u32 = 5;
/// The same of a read replica after its queries had their time: the server writes its last checkpoint.
const SECONDS_TO_STOP_A_SERVER: u32 = 30;

/// The template of the current revision's pods. It depends on the revision and on names only.
pub(super) fn pod_template(app: &App, component: &Component) -> Value {
    let mut template = defaults(app, component);
    let reader = component.pod.reader.as_ref();
    if let Some(reader) = reader {
        merge(&mut template, reader::defaults(reader));
    }
    merge(&mut template, Value::Object(component.pod.template.object()));
    merge(&mut template, owned(app, component));
    if let Some(reader) = reader {
        merge(&mut template, reader::owned(app, component, reader));
    }
    if is_windows(component) {
        return template;
    }
    for list in ["/spec/containers", "/spec/initContainers"] {
        for container in template.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            restrict(container);
        }
    }
    template
}

/// The fields that a user may change.
fn defaults(app: &App, component: &Component) -> Value {
    let mut context = json!({"runAsNonRoot": true});
    if !is_windows(component) {
        context["seccompProfile"] = json!({"type": "RuntimeDefault"});
    }
    if component.pod.cache.is_some() {
        merge(&mut context, cache::security_context());
    }
    json!({"spec": {
        // The component's own container comes first, so its ports are found first by name.
        "containers": [{"name": component.name.as_str()}],
        "enableServiceLinks": false,
        "securityContext": context,
        "terminationGracePeriodSeconds": grace_period_seconds(component),
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels::selected_by_component(app, component)},
        }],
    }})
}

fn grace_period_seconds(component: &Component) -> u32 {
    let to_end = if component.pod.reader.is_some() { SECONDS_TO_STOP_A_SERVER } else { SECONDS_TO_END };
    let drain = component.pod.drain_seconds.map(|seconds| seconds.saturating_add(to_end));
    drain.unwrap_or(TERMINATION_GRACE_PERIOD_SECONDS)
}

/// Whether the pods are for Windows, where an API server refuses fields that protect a Linux host.
fn is_windows(component: &Component) -> bool {
    let os = component.pod.template.object().get("spec").and_then(|spec| spec.pointer("/os/name").cloned());
    os.is_some_and(|name| name == json!("windows"))
}

fn owned(app: &App, component: &Component) -> Value {
    let mut metadata = json!({"labels": labels::of_revision(app, component)});
    if let Some(port) = component.pod.metrics_port {
        metadata["annotations"] = json!({METRICS_PORT_ANNOTATION: port.to_string()});
    }
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "serviceAccountName": names::component(app.name.as_str(), component.name.as_str()),
    });
    if let Some(cache) = &component.pod.cache {
        spec["containers"] = cache::containers(app, component, cache).into();
        spec["volumes"] = cache::volumes(app, component, cache);
    } else {
        spec["containers"] = json!([container::container(app, component)]);
        if component.pod.has_settings() {
            spec["volumes"] = settings::volumes(app, component);
        }
    }
    json!({"metadata": metadata, "spec": spec})
}

/// Fills in the fields that the restricted Pod Security Standard requires of each container, below the user's fields.
fn restrict(container: &mut Value) {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
    });
    if let Some(written) = container.get_mut("securityContext") {
        merge(&mut context, written.take());
    }
    container["securityContext"] = context;
}
