//! The component's own container. Pure.

use super::{names, settings};
use crate::resolve::app::{App, Component, HTTP_PORT, METRICS_PORT, POSTGRES_PORT, Pod};
use crate::resolve::probe::{Action, Probe};
use scalableapp_crds::Tier;
use serde_json::{Value, json};

/// Seconds for which a stopping container continues to serve. Requests still arrive until every node knows that it
/// stops, which takes longer than the signal to stop. Without this wait those requests would fail.
const PRE_STOP_SECONDS: u32 = 5;

/// The fields of the container that the operator or the component itself sets.
pub(super) fn container(app: &App, component: &Component) -> Value {
    let pod = &component.pod;
    let mut container = json!({
        "name": component.name.as_str(),
        "image": pod.image,
        "env": env(app, component),
        "ports": ports(pod),
        "resources": pod.resources,
    });
    let probes = &pod.probes;
    for (field, declared) in [
        ("readinessProbe", &probes.readiness),
        ("livenessProbe", &probes.liveness),
        ("startupProbe", &probes.startup),
    ] {
        if let Some(declared) = declared {
            container[field] = probe(declared);
        }
    }
    // Nobody connects to a worker.
    if component.tier == Tier::Service {
        container["lifecycle"] = json!({"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}});
    }
    if pod.has_settings() {
        container["volumeMounts"] = settings::mounts();
    }
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
fn env(app: &App, component: &Component) -> Vec<Value> {
    let pod = &component.pod;
    if pod.reader.is_some() {
        return pod.env.iter().map(|variable| json!(variable)).collect();
    }
    let deployment =
        names::deployment(app.name.as_str(), component.name.as_str(), component.revision.as_str());
    let resource = format!(
        "service.namespace={},k8s.namespace.name={},k8s.deployment.name={deployment}",
        app.name, app.namespace
    );
    // Clients of PostgreSQL name their sessions by it, so the sessions of the app are known among all.
    let sessions = pod.pool.as_ref().map(|_| format!("{}.{}", app.name, app.namespace));
    let given = [
        ("PGAPPNAME", sessions),
        ("PORT", pod.port.map(|port| port.to_string())),
        ("METRICS_PORT", pod.metrics_port.map(|port| port.to_string())),
        ("DRAIN_TIMEOUT", pod.drain_seconds.map(|seconds| seconds.to_string())),
        ("OTEL_SERVICE_NAME", Some(component.name.to_string())),
        ("OTEL_RESOURCE_ATTRIBUTES", Some(resource)),
    ];
    let is_set = |given: &Value| pod.env.iter().any(|variable| given["name"] == variable.name.as_str());
    given
        .into_iter()
        .filter_map(|(name, value)| Some(json!({"name": name, "value": value?})))
        .chain(settings::env(app, component))
        .filter(|given| !is_set(given))
        .chain(pod.databases.iter().chain(&pod.env).map(|variable| json!(variable)))
        .collect()
}

fn ports(pod: &Pod) -> Vec<Value> {
    let port = |name: &str, port: i32| json!({"name": name, "containerPort": port, "protocol": "TCP"});
    if pod.reader.is_some() {
        return pod.port.map(|number| port(POSTGRES_PORT, number)).into_iter().collect();
    }
    let metrics_port = pod.metrics_port.filter(|number| Some(*number) != pod.port);
    let ports = [(HTTP_PORT, pod.port), (METRICS_PORT, metrics_port)];
    ports.into_iter().filter_map(|(name, number)| Some(port(name, number?))).collect()
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
