//! Who may connect to a component's pods. Pure.

use super::{labels, metadata};
use crate::resolve::app::{App, Service};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeSet;

/// Anyone may connect to the service's and the metrics port, and nobody to any other.
///
/// What goes out is not restricted: the API does not say yet what a component calls, and to guess would cut it off from
/// its database.
pub(super) fn network_policy(app: &App, service: &Service) -> NetworkPolicy {
    let ports: BTreeSet<i32> =
        [Some(service.pod.port), service.pod.metrics_port].into_iter().flatten().collect();
    let ports = ports.into_iter().map(|port| NetworkPolicyPort {
        port: Some(IntOrString::Int(port)),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    });
    NetworkPolicy {
        metadata: metadata(app, service),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels::selector(labels::selected_by_component(app, service))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule { from: None, ports: Some(ports.collect()) }]),
            egress: None,
        }),
    }
}
