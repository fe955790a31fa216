//! The measurements, and whether they are valid. Pure.

pub mod backlog;
pub mod cache;
pub mod canary;
pub mod circuit;
pub mod connections;
pub(crate) mod exact;
pub mod recent;
pub mod recorded;
pub mod sample;
pub mod zero;

use crate::diagnose::observation::Observation;
use crate::forecast::season::Seasonal;
use crate::hpa::pod::{Pod, PodSample, Resource};
use backlog::BacklogReading;
use cache::CacheReading;
use canary::CanaryReading;
use circuit::CircuitReading;
use connections::{ConnectionsReading, PoolReading};
use jiff::{SignedDuration, Timestamp};
use recent::RecentRate;
use sample::Reading;
use std::borrow::Cow;

/// The measurements until one moment: the same question always gets the same answer.
///
/// A decision reads what it needs, so a record of what it read holds everything that it depended on ([`recorded`]).
pub trait Evidence {
    /// The age up to which a sample is fresh.
    fn max_age(&self) -> SignedDuration;

    /// Result of the query of a component's metric; `None` where it was not answered.
    fn reading(&self, component: &str, metric: &str) -> Option<Cow<'_, Reading>>;

    /// The newest sample of a pod's usage; `None` where a container was not measured.
    fn usage(&self, pod: &Pod, resource: Resource) -> Option<PodSample>;

    /// The season of a component's metric; `None` while its history is loading.
    fn season(&self, component: &str, metric: &str) -> Option<Cow<'_, Seasonal>>;

    /// The backlog of a pool of workers, for its metric; `None` where a query was not answered.
    fn backlog(&self, component: &str, metric: &str) -> Option<Cow<'_, BacklogReading>>;

    /// The evictions of a cache, for its metric; `None` where a query was not answered.
    fn cache(&self, component: &str, metric: &str) -> Option<Cow<'_, CacheReading>>;

    /// The circuit breakers of a component's pods for a dependency; `None` where a query was not answered.
    fn circuit(&self, component: &str, dependency: &str) -> Option<Cow<'_, CircuitReading>>;

    /// The connections of a database's server; `None` where a query was not answered.
    fn connections(&self, database: &str) -> Option<ConnectionsReading>;

    /// The pools of a component's pods; `None` where a query was not answered.
    fn pools(&self, component: &str) -> Option<PoolReading>;

    /// The request rate of a component over a short window; `None` where a query was not answered.
    fn recent_rate(&self, component: &str) -> Option<RecentRate>;

    /// What the judge says of the canary of a component; `None` where it was not asked.
    fn canary(&self, component: &str) -> Option<Cow<'_, CanaryReading>>;

    /// The series of the app for a diagnosis; `None` while no sample is later than `after`.
    ///
    /// It is not recorded: replicas depend on the verdict of the pass before, which is in the memory.
    fn observation(&self, after: Option<Timestamp>) -> Option<Observation>;
}
