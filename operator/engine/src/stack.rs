//! What an app declares, as far as a decision depends on it. Pure.

use crate::bounds::fallback::Fallback;
use crate::bounds::schedule::Schedule;
use crate::forecast::Forecast;
use crate::hpa::behavior::Behavior;
use crate::propose::metric::Metric;
use crate::rollout::rolling::Rolling;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The components of an app, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stack {
    /// Each component, shared with the app that it was resolved from.
    pub components: BTreeMap<String, Arc<Component>>,
}

/// One component as it is declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// What differs between the tiers.
    pub workload: Workload,
    /// Minimum replicas, at least 1.
    pub min_replicas: i32,
    /// Maximum replicas, at least `min_replicas`.
    pub max_replicas: i32,
    /// Recurring times with more minimum replicas.
    pub schedules: Vec<Schedule>,
    /// Minimum replicas while a metric is missing; nothing where the current replicas then stay.
    pub fallback: Option<Fallback>,
    /// How fast replicas may change, with defaults filled in.
    pub behavior: Behavior,
    /// Hash of the declared revision.
    pub revision: String,
    /// How the declared revision replaces earlier ones.
    pub rolling: Rolling,
}

/// What a component runs, and what its replicas follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Workload {
    /// A stateless service.
    Service(Service),
}

/// A stateless service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// The declared metrics, in their order; empty for a fixed number of replicas, or where schedules alone decide.
    pub metrics: Vec<Metric>,
    /// How the load is forecast; nothing where it is not.
    pub forecast: Option<Forecast>,
}

impl Component {
    /// The declared metrics, in their order.
    #[must_use]
    pub fn metrics(&self) -> &[Metric] {
        let Workload::Service(service) = &self.workload;
        &service.metrics
    }

    /// How the load is forecast; nothing where it is not.
    #[must_use]
    pub fn forecast(&self) -> Option<Forecast> {
        let Workload::Service(service) = &self.workload;
        service.forecast
    }
}
