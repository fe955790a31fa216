//! From a resolved app to its children. Pure.

mod container;
mod deployment;
mod labels;
mod merge;
mod network_policy;
mod pod_disruption_budget;
mod pod_template;
mod service;
mod service_account;

use crate::kinds::Kind;
use crate::names;
use crate::resolve::app::{App, Service};
use k8s_openapi::api::core::v1::{Service as ClusterService, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

pub use deployment::deployment;
pub use pod_template::METRICS_PORT_ANNOTATION;

/// The children of a service that remain over its revisions, in the order of their apply: pods need their
/// ServiceAccount.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceChildren {
    /// The identity of the pods.
    pub service_account: ServiceAccount,
    /// The address of the pods of all revisions.
    pub service: ClusterService,
    /// How many pods of all revisions may be evicted at once.
    pub pod_disruption_budget: PodDisruptionBudget,
    /// Who may connect to the pods.
    pub network_policy: NetworkPolicy,
    /// The Deployment of the current revision, without replicas, which belong to scaling. Deployments of earlier
    /// revisions are not changed, so their pods are not restarted.
    pub deployment: Value,
}

impl ServiceChildren {
    /// The children except the Deployment, in the order of their apply.
    #[must_use]
    pub fn others(&self) -> [(Kind, Value); 4] {
        // Without `..`, so that a new kind of child cannot be rendered and then forgotten here.
        let Self { service_account, service, pod_disruption_budget, network_policy, deployment: _ } = self;
        [
            (Kind::ServiceAccount, to_value(service_account)),
            (Kind::Service, to_value(service)),
            (Kind::PodDisruptionBudget, to_value(pod_disruption_budget)),
            (Kind::NetworkPolicy, to_value(network_policy)),
        ]
    }
}

fn to_value(child: &impl Serialize) -> Value {
    // Kubernetes types always serialize; if one did not, the API server would refuse the null.
    serde_json::to_value(child).unwrap_or(Value::Null)
}

/// The children of each valid service, by its name. `epoch` is that of the leader.
#[must_use]
pub fn render(app: &App, epoch: u64) -> BTreeMap<String, ServiceChildren> {
    let valid = app.services.iter().filter(|one| one.is_valid());
    valid.map(|service| (service.name.to_string(), children(app, service, epoch))).collect()
}

fn children(app: &App, service: &Service, epoch: u64) -> ServiceChildren {
    ServiceChildren {
        service_account: service_account::service_account(app, service),
        service: service::service(app, service),
        pod_disruption_budget: pod_disruption_budget::pod_disruption_budget(app, service),
        network_policy: network_policy::network_policy(app, service),
        deployment: deployment(app, service, epoch),
    }
}

/// Metadata of a child of a service that remains over its revisions.
fn metadata(app: &App, service: &Service) -> ObjectMeta {
    ObjectMeta {
        name: Some(names::component(app.name.as_str(), service.name.as_str())),
        namespace: Some(app.namespace.clone()),
        labels: Some(labels::component(app, service)),
        owner_references: Some(vec![app.owner_reference()]),
        ..ObjectMeta::default()
    }
}
