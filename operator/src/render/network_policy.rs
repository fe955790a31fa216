//! Who may connect to a component's pods. Pure.

use super::{labels, metadata};
use crate::resolve::app::{App, HTTP_PORT, METRICS_PORT, Service};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Anyone may connect to the service's and the metrics port, and nobody to any other.
///
/// They go by their names in the pods: the pods of two revisions may have other numbers, or only one of them both.
///
/// What goes out is not restricted: the API does not say yet what a component calls, and to guess would cut it off from
/// its database.
pub(super) fn network_policy(app: &App, service: &Service) -> NetworkPolicy {
    let ports = [HTTP_PORT, METRICS_PORT].map(|name| NetworkPolicyPort {
        port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    });
    NetworkPolicy {
        metadata: metadata(app, service),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels::selector(labels::selected_by_component(app, service))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule { from: None, ports: Some(ports.to_vec()) }]),
            egress: None,
        }),
    }
}
