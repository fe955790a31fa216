//! From a resolved app to its children. Pure.

pub mod cache;
mod container;
mod deployment;
mod http_route;
mod labels;
mod merge;
mod network_policy;
mod pod_disruption_budget;
mod pod_template;
mod reader;
mod service;
mod service_account;
pub mod settings;
mod stateful_set;

use crate::kinds::Kind;
use crate::names;
use crate::resolve::app::{App, Component};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use scalableapp_crds::Tier;
use scalableapp_engine::rollout::weights::Weights;
use serde::Serialize;
use serde_json::Value;
use settings::Settings;
use std::collections::BTreeMap;

pub use deployment::deployment;
pub use pod_template::METRICS_PORT_ANNOTATION;
pub use stateful_set::stateful_set;

/// The children of a component.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentChildren {
    /// Those that remain over its revisions, in the order of their apply: pods need their ServiceAccount.
    pub others: Vec<(Kind, Value)>,
    /// Kind of the workload.
    pub kind: Kind,
    /// The workload of the current revision, without replicas, which belong to scaling. Deployments of earlier
    /// revisions are not changed, so their pods are not restarted.
    pub workload: Value,
}

fn to_value(child: &impl Serialize) -> Value {
    // Kubernetes types always serialize; if one did not, the API server would refuse the null.
    serde_json::to_value(child).unwrap_or(Value::Null)
}

/// The children of each valid component, by its name. `epoch` is that of the leader.
#[must_use]
pub fn render(app: &App, epoch: u64, settings: &Settings) -> BTreeMap<String, ComponentChildren> {
    let valid = app.components.iter().filter(|one| one.is_valid() && one.cluster.is_none());
    valid.map(|component| (component.name.to_string(), children(app, component, epoch, settings))).collect()
}

fn children(app: &App, component: &Component, epoch: u64, settings: &Settings) -> ComponentChildren {
    let service_account = Some(to_value(&service_account::service_account(app, component)));
    let config_map = match (component.tier, &component.pod.cache) {
        (Tier::Database, _) => Some(reader::config_map(app, component)),
        (_, Some(cache)) => {
            Some(cache::config_map(app, component, cache::memory(component, cache, settings)))
        }
        (Tier::Service | Tier::Worker | Tier::Cache, None) => settings::config_map(app, component, settings),
    };
    let selection = settings.selections.get(component.name.as_str());
    let active = selection.and_then(|one| one.active.as_deref());
    let service = service::service(app, component, active).as_ref().map(to_value);
    let preview = selection.and_then(|one| one.preview.as_deref());
    let preview = preview.and_then(|revision| service::preview(app, component, revision));
    let budget = Some(to_value(&pod_disruption_budget::pod_disruption_budget(app, component)));
    let network_policy = Some(to_value(&network_policy::network_policy(app, component)));
    let of_route = settings.weights.get(component.name.as_str());
    let others = [
        (Kind::ServiceAccount, service_account),
        (Kind::ConfigMap, config_map.as_ref().map(to_value)),
        (Kind::Service, service),
        (Kind::Service, preview.as_ref().map(to_value)),
        (Kind::PodDisruptionBudget, budget),
        (Kind::NetworkPolicy, network_policy),
    ];
    let others = others.into_iter().filter_map(|(kind, child)| Some((kind, child?)));
    ComponentChildren {
        others: others
            .chain(of_route.into_iter().flat_map(|weights| routed(app, component, weights)))
            .collect(),
        kind: component.workload_kind(),
        workload: match component.tier {
            Tier::Service | Tier::Worker => deployment(app, component, epoch),
            Tier::Cache | Tier::Database => stateful_set(app, component, epoch, settings),
        },
    }
}

/// A Service for each revision, and the HTTPRoute that divides the requests between them.
fn routed(app: &App, component: &Component, weights: &Weights) -> Vec<(Kind, Value)> {
    let Some(route) = &component.route else { return Vec::new() };
    let service =
        |revision: &String| (Kind::Service, to_value(&service::of_revision(app, component, revision)));
    let route = (Kind::HttpRoute, http_route::http_route(app, component, route, weights));
    weights.keys().map(service).chain([route]).collect()
}

/// Metadata of a child of a component that remains over its revisions.
fn metadata(app: &App, component: &Component) -> ObjectMeta {
    ObjectMeta {
        name: Some(names::component(app.name.as_str(), component.name.as_str())),
        namespace: Some(app.namespace.clone()),
        labels: Some(labels::of_component(app, component)),
        owner_references: Some(vec![app.owner_reference()]),
        ..ObjectMeta::default()
    }
}
