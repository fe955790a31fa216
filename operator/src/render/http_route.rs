//! The way of requests from Gateways to a service. Pure.

use super::labels;
use crate::names;
use crate::resolve::app::{App, Component};
use scalableapp_crds::{GatewayRef, Route};
use scalableapp_engine::rollout::weights::Weights;
use serde_json::{Value, json};

/// Port of the Service of a revision. It is the same for all, so that it never changes while requests come by.
pub(super) const PORT: i32 = 80;

/// An HTTPRoute that divides all requests between the Services of the revisions, as JSON because no crate has its type.
/// The defaults of its definition are written out.
pub(super) fn http_route(app: &App, component: &Component, route: &Route, weights: &Weights) -> Value {
    let (app_name, name) = (app.name.as_str(), component.name.as_str());
    let service = |(revision, weight): (&String, &i32)| {
        json!({
            "group": "", "kind": "Service", "name": names::deployment(app_name, name, revision), "port": PORT,
            "weight": weight,
        })
    };
    let rule = json!({
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": weights.iter().map(service).collect::<Vec<_>>(),
    });
    let mut spec = json!({
        "parentRefs": route.parent_refs.iter().map(gateway).collect::<Vec<_>>(),
        "rules": [rule],
    });
    if !route.hostnames.is_empty() {
        spec["hostnames"] = json!(route.hostnames);
    }
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": names::component(app_name, name),
            "namespace": app.namespace,
            "labels": labels::of_component(app, component),
            "ownerReferences": [app.owner_reference()],
        },
        "spec": spec,
    })
}

fn gateway(GatewayRef { name, namespace, section_name }: &GatewayRef) -> Value {
    let mut reference = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name});
    if let Some(namespace) = namespace {
        reference["namespace"] = json!(namespace);
    }
    if let Some(section) = section_name {
        reference["sectionName"] = json!(section);
    }
    reference
}
