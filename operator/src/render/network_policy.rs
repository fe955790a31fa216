//! Who may connect to a component's pods. Pure.

use super::{labels, metadata};
use crate::resolve::app::{App, Component, HTTP_PORT, METRICS_PORT};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Anyone may connect to the service port and the metrics port, nobody to any other.
///
/// The ports are selected by name: the pods of two revisions may have other numbers, or only one revision has both.
///
/// Egress is not restricted: the API does not declare yet what a component calls, and a guess could block its database.
pub(super) fn network_policy(app: &App, component: &Component) -> NetworkPolicy {
    let ports = [HTTP_PORT, METRICS_PORT].map(|name| NetworkPolicyPort {
        port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    });
    NetworkPolicy {
        metadata: metadata(app, component),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels::selector(labels::selected_by_component(app, component))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule { from: None, ports: Some(ports.to_vec()) }]),
            egress: None,
        }),
    }
}
