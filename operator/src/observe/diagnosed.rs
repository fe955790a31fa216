//! What a diagnosis reads of the samples of a tick. Pure.

use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::hpa::pod::{Pod, Resource};

use super::prometheus::quantile::quantile;
use super::prometheus::signals::database_use::DatabaseUse;
use super::prometheus::signals::scraped::ByComponent;
use super::snapshot::Samples;
use crate::resolve::app::ComponentKey;

impl Samples {
    /// The window that a diagnosis judges; zero without one.
    #[must_use]
    pub fn diagnosis_window(&self) -> SignedDuration {
        self.diagnosis_window
    }

    /// The averaging window of requests.
    #[must_use]
    pub fn request_window(&self) -> SignedDuration {
        self.request_window
    }

    /// Whether a time is recent enough.
    #[must_use]
    pub fn is_fresh(&self, at: Option<Timestamp>) -> bool {
        at.zip(self.taken).is_some_and(|(at, taken)| taken.duration_since(at) <= self.max_age)
    }

    /// A quantile of the latency in seconds, if it is fresh.
    #[must_use]
    pub fn latency_quantile(&self, key: &ComponentKey, wanted: f64) -> Option<f64> {
        let histogram = self.evidence.latencies.get(key)?;
        self.is_fresh(histogram.at).then(|| quantile(wanted, &histogram.value))?
    }

    /// Failed requests per second.
    #[must_use]
    pub fn failures(&self, key: &ComponentKey) -> Option<f64> {
        self.number(&self.evidence.failures, key)
    }

    /// Mean seconds of calls to others.
    #[must_use]
    pub fn call_seconds(&self, key: &ComponentKey) -> Option<f64> {
        self.number(&self.evidence.call_seconds, key)
    }

    /// Repeated calls per second.
    #[must_use]
    pub fn retries(&self, key: &ComponentKey) -> Option<f64> {
        self.number(&self.evidence.retries, key)
    }

    /// Seconds by which a replica is behind, as the component measures it.
    #[must_use]
    pub fn replica_lag(&self, key: &ComponentKey) -> Option<f64> {
        self.number(&self.evidence.replica_lag, key)
    }

    /// The use of a component's database.
    #[must_use]
    pub fn database_use(&self, key: &ComponentKey) -> Option<DatabaseUse> {
        let measured = self.evidence.database_use.get(key)?;
        self.is_fresh(measured.at).then_some(measured.value)
    }

    /// Usage of a pod in thousandths, if it is fresh.
    #[must_use]
    pub fn fresh_usage(&self, namespace: &str, pod: &Pod, resource: Resource) -> Option<i64> {
        let usage = self.usage(namespace, pod, resource)?;
        self.is_fresh(Some(usage.at)).then_some(usage.milli)
    }

    fn number(&self, all: &ByComponent<f64>, key: &ComponentKey) -> Option<f64> {
        let measured = all.get(key).filter(|measured| !measured.is_partial)?;
        self.is_fresh(measured.at).then_some(measured.value)
    }
}
