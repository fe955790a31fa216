//! The component's own container. Pure.

use super::names;
use crate::resolve::app::{App, HTTP_PORT, METRICS_PORT, Pod, Service};
use crate::resolve::probe::{Action, Probe};
use serde_json::{Value, json};

/// Seconds for which a stopping container continues to serve. Requests still arrive until every node knows that it
/// stops, which takes longer than the signal to stop. Without this wait those requests would fail.
const PRE_STOP_SECONDS: u32 = 5;

/// The fields of the container that the operator or the service itself sets.
pub(super) fn container(app: &App, service: &Service) -> Value {
    let pod = &service.pod;
    let mut container = json!({
        "name": service.name.as_str(),
        "image": pod.image,
        "env": env(app, service),
        "ports": ports(pod),
        "resources": pod.resources,
        "readinessProbe": probe(&pod.probes.readiness),
        "livenessProbe": probe(&pod.probes.liveness),
        "startupProbe": probe(&pod.probes.startup),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
    });
    for (field, words) in [("command", &pod.command), ("args", &pod.args)] {
        if !words.is_empty() {
            container[field] = json!(words);
        }
    }
    container
}

/// The operator's variables come first, so the user's own variables may refer to them; of two with the same name the
/// user's counts.
///
/// None of them may differ between pods of a revision or change while they run: they are part of their template.
fn env(app: &App, service: &Service) -> Vec<Value> {
    let pod = &service.pod;
    let deployment = names::deployment(app.name.as_str(), service.name.as_str(), service.revision.as_str());
    let resource = format!(
        "service.namespace={},k8s.namespace.name={},k8s.deployment.name={deployment}",
        app.name, app.namespace
    );
    let given = [
        ("PORT", Some(pod.port.to_string())),
        ("METRICS_PORT", pod.metrics_port.map(|port| port.to_string())),
        ("OTEL_SERVICE_NAME", Some(service.name.to_string())),
        ("OTEL_RESOURCE_ATTRIBUTES", Some(resource)),
    ];
    let is_set = |name: &str| pod.env.iter().any(|variable| variable.name == name);
    given
        .into_iter()
        .filter(|(name, _)| !is_set(name))
        .filter_map(|(name, value)| Some(json!({"name": name, "value": value?})))
        .chain(pod.env.iter().map(|variable| json!(variable)))
        .collect()
}

fn ports(pod: &Pod) -> Vec<Value> {
    let port = |name: &str, port: i32| json!({"name": name, "containerPort": port, "protocol": "TCP"});
    let metrics_port = pod.metrics_port.filter(|metrics_port| *metrics_port != pod.port);
    [Some(port(HTTP_PORT, pod.port)), metrics_port.map(|number| port(METRICS_PORT, number))]
        .into_iter()
        .flatten()
        .collect()
}

fn probe(probe: &Probe) -> Value {
    let mut rendered = json!({
        "initialDelaySeconds": probe.initial_delay_seconds,
        "periodSeconds": probe.period_seconds,
        "timeoutSeconds": probe.timeout_seconds,
        "failureThreshold": probe.failure_threshold,
    });
    let (action, value) = match &probe.action {
        Action::HttpGet { path, port } => ("httpGet", json!({"path": path, "port": port})),
        Action::TcpSocket { port } => ("tcpSocket", json!({"port": port})),
        Action::Grpc { port, service: None } => ("grpc", json!({"port": port})),
        Action::Grpc { port, service: Some(service) } => ("grpc", json!({"port": port, "service": service})),
        Action::Exec { command } => ("exec", json!({"command": command})),
    };
    rendered[action] = value;
    rendered
}
