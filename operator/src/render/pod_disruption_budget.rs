//! How many of a component's pods may be evicted at once. Pure.

use super::{labels, metadata};
use crate::resolve::app::{App, Component};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use scalableapp_crds::Tier;

/// Kubernetes rounds the percentage up: one pod of up to ten, two of up to twenty. A minimum would block the drain of a
/// node with the only pod, and a fixed number would make the drain of a large component very slow.
const MAX_UNAVAILABLE: &str = "10%";

/// An evicted shard loses its keys, and the next read replica to leave may be the only other one that is not behind.
const OF_DATA: i32 = 1;

/// One budget over the pods of all revisions. A pod that is not ready may always be evicted.
pub(super) fn pod_disruption_budget(app: &App, component: &Component) -> PodDisruptionBudget {
    let max_unavailable = match component.tier {
        Tier::Service | Tier::Worker => IntOrString::String(MAX_UNAVAILABLE.to_owned()),
        Tier::Cache | Tier::Database => IntOrString::Int(OF_DATA),
    };
    PodDisruptionBudget {
        metadata: metadata(app, component),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(max_unavailable),
            selector: Some(labels::selector(labels::selected_by_component(app, component))),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
