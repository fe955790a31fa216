//! The series of one app for its diagnosis: what the samples and the cached objects say of each component, and the calls
//! between them. Pure.
//!
//! A value is left out where it is not fresh. Nothing is said of latency by fewer than [`FEWEST_REQUESTS`] requests.

use super::pass::View;
use crate::{
    observe::{
        cluster::pods::CachedPod,
        measure::Measure,
        timeline::{SeriesKey, Timeline},
    },
    resolve::app::{App, Component, ComponentKey},
};
use scalableapp_crds::{Quantity, Tier};
use scalableapp_engine::{
    diagnose::observation::{Call, Observation},
    evidence::circuit::CircuitState,
    hpa::pod::Resource,
    state::State,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Requests in an averaging window below which a quantile of their latency jumps.
const FEWEST_REQUESTS: f64 = 20.0;

/// The samples of one moment.
pub(super) fn samples(app: &App, state: &State, view: View<'_>) -> BTreeMap<SeriesKey, f64> {
    let mut now = Moment { view, samples: BTreeMap::new() };
    for component in app.components.iter().filter(|component| component.is_valid()) {
        now.requests(component);
        now.resources(component);
        now.jobs(component);
        now.cache(component);
        now.circuits(component);
        now.pool(app, component);
        now.granted(component, state);
    }
    now.samples
}

struct Moment<'a> {
    view: View<'a>,
    samples: BTreeMap<SeriesKey, f64>,
}

impl Moment<'_> {
    fn add(&mut self, node: &str, measure: Measure, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into().filter(|value| value.is_finite()) {
            self.samples.insert((Box::from(node), measure), value);
        }
    }

    /// The larger of two values of a node that several components measure.
    fn add_larger(&mut self, node: &str, measure: Measure, value: Option<f64>) {
        let known = self.samples.get(&(Box::from(node), measure)).copied();
        self.add(node, measure, value.map(|value| known.map_or(value, |known| known.max(value))));
    }

    fn requests(&mut self, component: &Component) {
        let (key, name, samples) = (&component.key, component.name.as_str(), self.view.samples);
        let Some(rate) = samples.request_rate(key) else { return };
        self.add(name, Measure::Requests, rate);
        if rate * samples.request_window().as_secs_f64() >= FEWEST_REQUESTS {
            for (measure, quantile) in
                [(Measure::LatencyP50, 0.5), (Measure::LatencyP90, 0.9), (Measure::LatencyP99, 0.99)]
            {
                self.add(name, measure, samples.latency_quantile(key, quantile));
            }
            self.add(
                name,
                Measure::Failures,
                samples.failures(key).map(|failures| (failures / rate).min(1.0)),
            );
        }
        self.add(name, Measure::CallSeconds, samples.call_seconds(key));
        self.add(name, Measure::Retries, samples.retries(key));
    }

    /// CPU and memory of the pods that are measured.
    fn resources(&mut self, component: &Component) {
        let View { observed, samples, .. } = self.view;
        let pods: Vec<&Arc<CachedPod>> = observed.pods_of(component.name.as_str()).collect();
        for (resource, share, used) in [
            (Resource::Cpu, Measure::CpuShare, Measure::CpuCores),
            (Resource::Memory, Measure::MemoryShare, Measure::MemoryBytes),
        ] {
            let usage = |pod: &&Arc<CachedPod>| {
                samples.fresh_usage(&component.key.namespace, &pod.pod, resource).map(|milli| milli as f64)
            };
            let measured: Vec<f64> = pods.iter().filter_map(usage).collect();
            if measured.is_empty() {
                continue;
            }
            let (sum, count) = (measured.iter().sum::<f64>(), measured.len() as f64);
            // The limit is that of one container.
            let has_one = pods.iter().all(|pod| pod.pod.containers.len() == 1);
            let limit = limit(component, resource).filter(|_| has_one);
            match (limit, resource) {
                (Some(limit), _) => self.add(component.name.as_str(), share, sum / count / limit),
                (None, Resource::Cpu) => self.add(component.name.as_str(), used, sum / 1e3),
                (None, Resource::Memory) => self.add(component.name.as_str(), used, sum / count / 1e3),
            }
        }
    }

    fn jobs(&mut self, component: &Component) {
        let Some(backlog) = self.view.samples.fresh_backlog(&component.key) else { return };
        self.add(component.name.as_str(), Measure::Backlog, backlog.waiting);
        self.add(component.name.as_str(), Measure::OldestAge, backlog.oldest_seconds);
    }

    fn cache(&mut self, component: &Component) {
        let Some(cache) = self.view.samples.cache_use(&component.key) else { return };
        self.add(component.name.as_str(), Measure::MissRatio, cache.hit_ratio.map(|hits| 1.0 - hits));
        self.add(component.name.as_str(), Measure::Evictions, cache.evictions_per_second);
    }

    /// The share of pods that see a dependency fail.
    fn circuits(&mut self, component: &Component) {
        let samples = self.view.samples;
        for (dependency, breaker) in &component.breakers {
            let Some(reading) = samples.circuit(&component.key, dependency, breaker) else { continue };
            let fresh = reading.pods.values().filter(|one| samples.is_fresh(one.at));
            let states: Vec<CircuitState> =
                fresh.map(|one| one.state).filter(|state| *state != CircuitState::Implausible).collect();
            let is_open =
                |state: &&CircuitState| matches!(state, CircuitState::Open | CircuitState::HalfOpen);
            let open = states.iter().filter(is_open).count() as f64;
            let share = (!states.is_empty()).then(|| open / states.len() as f64);
            self.add_larger(dependency, Measure::CircuitOpen, share);
        }
    }

    /// The pool of a component, and the database that it is for.
    fn pool(&mut self, app: &App, component: &Component) {
        let (name, samples) = (component.name.as_str(), self.view.samples);
        self.add(name, Measure::ReplicaLag, samples.replica_lag(&component.key));
        let Some(pool) = &component.declared.pool else { return };
        let database = pool.database.as_str();
        if let Some(used) = samples.database_use(&component.key) {
            self.add(name, Measure::PoolInUse, used.in_use);
            self.add(name, Measure::PoolWait, used.wait_seconds);
            self.add_larger(database, Measure::QuerySeconds, used.query_seconds);
        }
        let server = ComponentKey::new(&app.namespace, app.name.as_str(), database);
        if let Some(reading) = samples.connections(&server).filter(|one| samples.is_fresh(one.at)) {
            self.add(database, Measure::Connections, reading.own + reading.others);
            self.add(database, Measure::ConnectionLimit, reading.most);
        }
    }

    /// Replicas that a quota or the scheduler refuses. A pod that starts is none of them.
    fn granted(&mut self, component: &Component, state: &State) {
        let Some(observed) = state.components.get(component.name.as_str()) else { return };
        let missing = observed.revisions.iter().map(|one| (one.replicas - one.available).max(0)).sum::<i32>();
        let refused = if observed.ungranted.is_empty() { 0 } else { missing };
        self.add(component.name.as_str(), Measure::NotGranted, f64::from(refused));
    }
}

/// The limit of a pod in thousandths of a core or of a byte.
fn limit(component: &Component, resource: Resource) -> Option<f64> {
    let limit: &Quantity = component.pod.resources.limits.get(resource.name())?;
    limit.milli().ok().filter(|milli| *milli > 0).map(|milli| milli as f64)
}

/// The series until now with the calls that the spec declares. Workers take jobs of others without their waiting.
pub(super) fn observation(app: &App, timeline: &Timeline) -> Observation {
    let mut calls = Vec::new();
    let consumers = || app.components.iter().filter(|component| component.is_consumer());
    for component in consumers() {
        let declared = component.declared.calls.iter().cloned();
        let pool = component.declared.pool.iter().map(|pool| pool.database.clone());
        let caches = component.pod.caches.iter().map(|cache| cache.name.clone());
        calls.extend(declared.chain(pool).chain(caches).map(|callee| call(component, callee, false)));
    }
    let services = || consumers().filter(|component| component.tier == Tier::Service);
    let called: BTreeSet<String> = calls.iter().map(|call| call.callee.clone()).collect();
    let mut first = services().filter(|service| !called.contains(service.name.as_str()));
    let entry = first.next().filter(|_| first.next().is_none());
    if let Some(service) = services().next() {
        let workers = consumers().filter(|component| component.tier == Tier::Worker);
        let told = workers.filter(|worker| !called.contains(worker.name.as_str()));
        calls.extend(told.map(|worker| call(service, worker.name.to_string(), true)));
    }
    let entry = entry.map(|service| service.name.to_string());
    Observation { calls, entry, ..timeline.observation() }
}

fn call(caller: &Component, callee: String, is_async: bool) -> Call {
    Call { caller: caller.name.to_string(), callee, is_async }
}
