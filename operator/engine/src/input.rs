//! Everything that a decision for one component depends on. Pure.

use crate::bounds::fallback::Fallback;
use crate::bounds::overrides::Overrides;
use crate::bounds::schedule::Schedule;
use crate::evidence::sample::Reading;
use crate::forecast::Forecast;
use crate::forecast::season::Seasonal;
use crate::hpa::behavior::Behavior;
use crate::hpa::pod::Pod;
use crate::hpa::signal::PodTiming;
use crate::propose::metric::Metric;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Everything that a decision for one component depends on, but for the [`Memory`](crate::memory::Memory) that earlier ones left behind.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The instant of the decision.
    pub now: Timestamp,
    /// The fewest replicas.
    pub min_replicas: i32,
    /// Spans of time in which they are more.
    pub schedules: &'a [Schedule],
    /// The most replicas.
    pub max_replicas: i32,
    /// The declared metrics, in their order.
    pub metrics: &'a [Metric],
    /// How fast replicas may change, with defaults filled in.
    pub behavior: &'a Behavior,
    /// The sum of `spec.replicas` over the live revisions, without the surge of a rollout
    /// (see [`current_replicas`](crate::rollout::current_replicas)).
    pub current_replicas: i32,
    /// The replicas of the last decision that was written; nothing for a new component. They differ from the current
    /// replicas where somebody else has written other ones.
    pub decided_replicas: Option<i32>,
    /// The replicas that exist: the sum of `status.replicas` over the live revisions.
    pub status_replicas: i32,
    /// The pods of all live revisions. Those that have ended count for nothing.
    pub pods: &'a [Pod],
    /// What the queries returned, by metric name. CPU and memory are read from `pods` instead.
    pub readings: &'a BTreeMap<String, Reading>,
    /// The age up to which a sample is fresh.
    pub max_sample_age: SignedDuration,
    /// How long CPU samples of young pods are distrusted.
    pub timing: PodTiming,
    /// How the load is forecast; nothing where the floor is not to be raised for it.
    pub forecast: Option<Forecast>,
    /// What is known of the seasons of the metrics, by name. Read only where the forecast has a season; one that is
    /// missing is awaited.
    pub seasons: &'a BTreeMap<String, Seasonal>,
    /// What to have while a metric is missing; nothing where the replicas then stay.
    pub fallback: Option<Fallback>,
    /// What people ask for a while.
    pub overrides: &'a Overrides,
}
