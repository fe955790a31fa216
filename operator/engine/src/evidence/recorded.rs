//! The evidence that a decision read, recorded for a replay. Pure.

use crate::diagnose::observation::Observation;
use crate::evidence::Evidence;
use crate::evidence::backlog::BacklogReading;
use crate::evidence::cache::CacheReading;
use crate::evidence::canary::CanaryReading;
use crate::evidence::circuit::CircuitReading;
use crate::evidence::connections::{ConnectionsReading, PoolReading};
use crate::evidence::recent::RecentRate;
use crate::evidence::sample::Reading;
use crate::forecast::season::Seasonal;
use crate::hpa::pod::{ByResource, Pod, PodSample, Resource};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The measurements of an app, by the names of components, metrics and pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecordedEvidence {
    /// The age up to which a sample is fresh.
    pub max_age: SignedDuration,
    /// Query results, by component and metric.
    pub readings: BTreeMap<String, BTreeMap<String, Reading>>,
    /// Usage of each pod.
    pub usage: BTreeMap<String, ByResource<Option<PodSample>>>,
    /// Seasons, by component and metric.
    pub seasons: BTreeMap<String, BTreeMap<String, Seasonal>>,
    /// Backlogs, by component and metric.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub backlogs: BTreeMap<String, BTreeMap<String, BacklogReading>>,
    /// Evictions of caches, by component and metric.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub caches: BTreeMap<String, BTreeMap<String, CacheReading>>,
    /// Circuit breakers, by component and dependency.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub circuits: BTreeMap<String, BTreeMap<String, CircuitReading>>,
    /// Connections of servers, by database.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub connections: BTreeMap<String, ConnectionsReading>,
    /// Pools, by component.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pools: BTreeMap<String, PoolReading>,
    /// Request rates over a short window, by component.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub recent_rates: BTreeMap<String, RecentRate>,
    /// Judgements of canaries, by component.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub canaries: BTreeMap<String, CanaryReading>,
}

impl Evidence for RecordedEvidence {
    fn max_age(&self) -> SignedDuration {
        self.max_age
    }

    fn reading(&self, component: &str, metric: &str) -> Option<Cow<'_, Reading>> {
        self.readings.get(component)?.get(metric).map(Cow::Borrowed)
    }

    fn usage(&self, pod: &Pod, resource: Resource) -> Option<PodSample> {
        self.usage.get(&*pod.name)?.get(resource)
    }

    fn season(&self, component: &str, metric: &str) -> Option<Cow<'_, Seasonal>> {
        self.seasons.get(component)?.get(metric).map(Cow::Borrowed)
    }

    fn backlog(&self, component: &str, metric: &str) -> Option<Cow<'_, BacklogReading>> {
        self.backlogs.get(component)?.get(metric).map(Cow::Borrowed)
    }

    fn cache(&self, component: &str, metric: &str) -> Option<Cow<'_, CacheReading>> {
        self.caches.get(component)?.get(metric).map(Cow::Borrowed)
    }

    fn circuit(&self, component: &str, dependency: &str) -> Option<Cow<'_, CircuitReading>> {
        self.circuits.get(component)?.get(dependency).map(Cow::Borrowed)
    }

    fn connections(&self, database: &str) -> Option<ConnectionsReading> {
        self.connections.get(database).copied()
    }

    fn pools(&self, component: &str) -> Option<PoolReading> {
        self.pools.get(component).copied()
    }

    fn recent_rate(&self, component: &str) -> Option<RecentRate> {
        self.recent_rates.get(component).copied()
    }

    fn canary(&self, component: &str) -> Option<Cow<'_, CanaryReading>> {
        self.canaries.get(component).map(Cow::Borrowed)
    }

    fn observation(&self, _: Option<Timestamp>) -> Option<Observation> {
        None
    }
}

/// Reads from other evidence, and records what was read.
pub struct Recorder<'a> {
    evidence: &'a dyn Evidence,
    read: RefCell<RecordedEvidence>,
}

impl<'a> Recorder<'a> {
    /// An empty record.
    pub fn new(evidence: &'a dyn Evidence) -> Self {
        let read = RecordedEvidence { max_age: evidence.max_age(), ..RecordedEvidence::default() };
        Self { evidence, read: RefCell::new(read) }
    }

    /// The recorded evidence.
    pub fn into_read(self) -> RecordedEvidence {
        self.read.into_inner()
    }
}

impl Evidence for Recorder<'_> {
    fn max_age(&self) -> SignedDuration {
        self.evidence.max_age()
    }

    fn reading(&self, component: &str, metric: &str) -> Option<Cow<'_, Reading>> {
        let reading = self.evidence.reading(component, metric)?;
        let mut read = self.read.borrow_mut();
        let of_component = read.readings.entry(component.to_owned()).or_default();
        of_component.insert(metric.to_owned(), reading.as_ref().clone());
        Some(reading)
    }

    fn usage(&self, pod: &Pod, resource: Resource) -> Option<PodSample> {
        let sample = self.evidence.usage(pod, resource)?;
        let mut read = self.read.borrow_mut();
        let usage = read.usage.entry(pod.name.to_string()).or_default();
        match resource {
            Resource::Cpu => usage.cpu = Some(sample),
            Resource::Memory => usage.memory = Some(sample),
        }
        Some(sample)
    }

    fn season(&self, component: &str, metric: &str) -> Option<Cow<'_, Seasonal>> {
        let season = self.evidence.season(component, metric)?;
        let mut read = self.read.borrow_mut();
        let of_component = read.seasons.entry(component.to_owned()).or_default();
        of_component.insert(metric.to_owned(), season.as_ref().clone());
        Some(season)
    }

    fn backlog(&self, component: &str, metric: &str) -> Option<Cow<'_, BacklogReading>> {
        let backlog = self.evidence.backlog(component, metric)?;
        let mut read = self.read.borrow_mut();
        let of_component = read.backlogs.entry(component.to_owned()).or_default();
        of_component.insert(metric.to_owned(), *backlog);
        Some(backlog)
    }

    fn cache(&self, component: &str, metric: &str) -> Option<Cow<'_, CacheReading>> {
        let cache = self.evidence.cache(component, metric)?;
        let mut read = self.read.borrow_mut();
        let of_component = read.caches.entry(component.to_owned()).or_default();
        of_component.insert(metric.to_owned(), *cache);
        Some(cache)
    }

    fn circuit(&self, component: &str, dependency: &str) -> Option<Cow<'_, CircuitReading>> {
        let circuit = self.evidence.circuit(component, dependency)?;
        let mut read = self.read.borrow_mut();
        let of_component = read.circuits.entry(component.to_owned()).or_default();
        of_component.insert(dependency.to_owned(), circuit.as_ref().clone());
        Some(circuit)
    }

    fn connections(&self, database: &str) -> Option<ConnectionsReading> {
        let connections = self.evidence.connections(database)?;
        self.read.borrow_mut().connections.insert(database.to_owned(), connections);
        Some(connections)
    }

    fn pools(&self, component: &str) -> Option<PoolReading> {
        let pools = self.evidence.pools(component)?;
        self.read.borrow_mut().pools.insert(component.to_owned(), pools);
        Some(pools)
    }

    fn recent_rate(&self, component: &str) -> Option<RecentRate> {
        let rate = self.evidence.recent_rate(component)?;
        self.read.borrow_mut().recent_rates.insert(component.to_owned(), rate);
        Some(rate)
    }

    fn canary(&self, component: &str) -> Option<Cow<'_, CanaryReading>> {
        let reading = self.evidence.canary(component)?;
        self.read.borrow_mut().canaries.insert(component.to_owned(), reading.as_ref().clone());
        Some(reading)
    }

    fn observation(&self, after: Option<Timestamp>) -> Option<Observation> {
        self.evidence.observation(after)
    }
}
