//! Who may connect to a component's pods. Pure.

use super::{labels, metadata};
use crate::labels::APP;
use crate::resolve::app::{App, Component, HTTP_PORT, METRICS_PORT, POSTGRES_PORT};
use crate::resolve::cache;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use scalableapp_crds::Tier;

/// Anyone may connect to the service port and the metrics port, nobody to any other. To a shard or a read replica only
/// pods of the same app may connect, beside its metrics.
///
/// The ports are selected by name: the pods of two revisions may have other numbers, or only one revision has both.
///
/// Egress is not restricted: the API does not declare yet what a component calls, and a guess could block its database.
pub(super) fn network_policy(app: &App, component: &Component) -> NetworkPolicy {
    let ingress = match component.tier {
        Tier::Service | Tier::Worker => vec![rule(None, [HTTP_PORT, METRICS_PORT].map(named).to_vec())],
        Tier::Cache => {
            of_data(app, tcp(IntOrString::Int(cache::PORT)), tcp(IntOrString::Int(cache::METRICS_PORT)))
        }
        Tier::Database => of_data(app, named(POSTGRES_PORT), named(METRICS_PORT)),
    };
    NetworkPolicy {
        metadata: metadata(app, component),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels::selector(labels::selected_by_component(app, component))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            egress: None,
        }),
    }
}

/// A data tier trusts whoever has its password, so nobody else may try one.
fn of_data(app: &App, port: NetworkPolicyPort, metrics: NetworkPolicyPort) -> Vec<NetworkPolicyIngressRule> {
    let of_app = labels::selector([(APP.to_owned(), app.name.to_string())].into());
    let from = NetworkPolicyPeer { pod_selector: Some(of_app), ..NetworkPolicyPeer::default() };
    vec![rule(Some(vec![from]), vec![port]), rule(None, vec![metrics])]
}

fn rule(from: Option<Vec<NetworkPolicyPeer>>, ports: Vec<NetworkPolicyPort>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from, ports: Some(ports) }
}

fn named(name: &str) -> NetworkPolicyPort {
    tcp(IntOrString::String(name.to_owned()))
}

fn tcp(port: IntOrString) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(port), protocol: Some("TCP".to_owned()), ..NetworkPolicyPort::default() }
}
