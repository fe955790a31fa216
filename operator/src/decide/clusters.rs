//! The Cluster of CloudNativePG whose replicas a component is. Pure.

use super::component_state::{ComponentState, MetricsState};
use crate::observe::cluster::{
    caches::Observed,
    named::{NamedCluster, Obstacle},
};
use crate::resolve::app::Component;

/// The Cluster whose replicas the component is.
pub(super) fn named<'a>(component: &Component, observed: &'a Observed) -> Option<&'a NamedCluster> {
    observed.clusters.get(component.cluster.as_ref()?)
}

/// The state of a component with what stands in the way of scaling its Cluster.
pub(super) fn with_obstacle(
    resolved: &Component,
    observed: &Observed,
    state: ComponentState,
) -> ComponentState {
    let Some(cluster) = &resolved.cluster else { return state };
    let obstacle = match named(resolved, observed) {
        Some(named) => named.obstacle(cluster),
        None => Some(Obstacle::Unknown),
    };
    let (problem, failure) = match &obstacle {
        Some(Obstacle::Busy(problem)) => (Some(problem.clone()), None),
        Some(Obstacle::Lasting(problem)) => (None, Some(problem.clone())),
        Some(Obstacle::Unknown) | None => (None, None),
    };
    let measured = if obstacle.is_some() { MetricsState::NotAsked } else { state.measured.clone() };
    ComponentState { obstacle, problem, failure, measured, ..state }
}
