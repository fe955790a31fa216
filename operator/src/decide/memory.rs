//! The memory of the decisions on one app between two passes. Pure.

use super::leaving::Leaving;
use super::pass::View;
use super::routes::RouteMemory;
use super::series;
use super::shard_memory::ResizeRefusal;
use crate::{
    observe::{
        cluster::workload::LiveRevision,
        query_plan::{Source, Sources, sources},
        timeline::Timeline,
        trials::{CanaryTrial, CanaryTrials},
    },
    resolve::app::{App, Component},
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use scalableapp_crds::{ComponentStatus, Tier};
use scalableapp_engine::{
    ComponentDecision,
    diagnose::standing::DiagnosisMemory,
    memory::{AppMemory, ComponentMemory},
    rollout::memory::Trial,
    state::State,
};
use std::collections::BTreeMap;

/// Wait before the label of a pod is written again after a failure, or a pod is evicted again.
const EJECTED_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// The most doublings of the wait after refused evictions.
const DOUBLINGS: u32 = 4;

/// Wait before a pod is resized again after a failure.
pub const RESIZED_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// The memory of the decisions on one app.
#[derive(Clone, Default)]
pub struct DecideMemory {
    /// The engine's memory.
    pub(super) decisions: AppMemory,
    components: BTreeMap<String, Followed>,
    /// The shards that leave a cache, by its name.
    leaving: BTreeMap<String, Leaving>,
    /// The memory of the shards of a cache, by its name.
    shards: BTreeMap<String, KnownMemory>,
    /// The series of the app for its diagnosis.
    timeline: Timeline,
    /// The writes for the pods that leave a Service, by the name of the component.
    ejections: BTreeMap<String, EjectionWrites>,
    /// What is known of the gateways of each service with a route, by its name.
    pub(super) routes: BTreeMap<String, RouteMemory>,
}

/// Until when pods of a service are not written, because that failed or was just done.
#[derive(Clone, Copy, Default)]
struct EjectionWrites {
    labels: Option<Timestamp>,
    evictions: Option<Timestamp>,
    /// Evictions in a row that were refused.
    refused: u32,
}

/// Where one component is measured, and which writes of it are in flight.
#[derive(Clone, Default)]
struct Followed {
    /// Where the metrics were read that the engine remembers.
    sources: Sources,
    /// Writes of replicas that the cache must show before the component is decided again, by Deployment.
    awaited: BTreeMap<String, Awaited>,
}

/// What is known of the memory of the shards of a cache.
#[derive(Clone, Default)]
struct KnownMemory {
    /// Bytes that were decided last; `None` in a new process, where the StatefulSet has them.
    bytes: Option<i64>,
    /// The last refusal by the API server.
    refusal: Option<ResizeRefusal>,
    /// Until then no pod is resized, because that failed.
    until: Option<Timestamp>,
}

/// A successful write of replicas.
#[derive(Clone)]
struct Awaited {
    /// Generation of the Deployment after it.
    generation: i64,
    revision: String,
    replicas: i32,
}

impl DecideMemory {
    /// Removes the recommendations: no pass was made for a while.
    pub fn forget_recommendations(&mut self) {
        self.decisions.forget_recommendations();
    }

    /// Waits for the cache to show a write of replicas, by the generation of the Deployment.
    pub fn await_write(
        &mut self,
        component: &str,
        deployment: &str,
        generation: Option<i64>,
        (revision, replicas): (&str, i32),
    ) {
        let awaited =
            Awaited { generation: generation.unwrap_or_default(), revision: revision.to_owned(), replicas };
        let followed = self.components.entry(component.to_owned()).or_default();
        followed.awaited.insert(deployment.to_owned(), awaited);
    }

    /// Records that the replicas of a decision were written, or may have been.
    pub fn commit(&mut self, component: &Component, decision: &ComponentDecision, is_certain: bool) {
        let name = component.name.as_str();
        self.decisions.commit(name, decision, &component.declared.behavior, is_certain);
        if let Some(change) = &decision.memory {
            self.note_shard_bytes(name, change.bytes);
        }
        if let Some(change) = decision.change.as_ref().filter(|_| component.tier == Tier::Cache) {
            let earlier = self.leaving.remove(name);
            let leaving = Leaving::after(earlier, (change.from, change.to), change.at);
            self.leaving.extend(leaving.map(|leaving| (name.to_owned(), leaving)));
        }
    }

    /// The canary of a component that is in progress.
    #[must_use]
    pub fn trial(&self, component: &str) -> Option<&Trial> {
        self.decisions.components.get(component)?.trial()
    }

    /// The canaries of the app that are in progress.
    #[must_use]
    pub fn trials(&self, app: &App) -> CanaryTrials {
        let trial = |component: &Component| {
            let trial = CanaryTrial::of(component, self.trial(component.name.as_str())?)?;
            Some((component.key.clone(), trial))
        };
        app.components.iter().filter_map(trial).collect()
    }

    /// What is said to be wrong with the app.
    #[must_use]
    pub fn diagnosis(&self) -> &DiagnosisMemory {
        &self.decisions.diagnosis
    }

    /// The series of the app.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Takes a sample of the app's series, if it is time for one.
    pub(super) fn note_series(&mut self, app: &App, state: &State, view: View<'_>) {
        let (now, window) = (view.now, view.samples.diagnosis_window());
        if view.samples.were_taken() && self.timeline.is_due(&app.uid, now, window) {
            let samples = series::samples(app, state, view);
            self.timeline.push(now, samples, self.decisions.diagnosis.incident());
        }
    }

    /// Records that a pod of a cache could not be resized: the API server refused these bytes, or may accept them later.
    pub fn note_resize_failure(&mut self, cache: &str, refusal: Option<ResizeRefusal>, until: Timestamp) {
        let known = self.shards.entry(cache.to_owned()).or_default();
        if refusal.is_some() {
            known.refusal = refusal;
        }
        known.until = Some(until);
    }

    /// Bytes that each shard of a cache is to have, as last decided or as in its StatefulSet.
    pub(super) fn shard_bytes(&self, cache: &str, template: Option<i64>) -> Option<i64> {
        self.shards.get(cache).and_then(|known| known.bytes).or(template)
    }

    /// Records the bytes that each shard of a cache is to have. A refusal of other ones has had its effect.
    pub(super) fn note_shard_bytes(&mut self, cache: &str, bytes: i64) {
        let known = self.shards.entry(cache.to_owned()).or_default();
        known.bytes = Some(bytes);
        known.refusal = known.refusal.take().filter(|refusal| refusal.bytes == bytes);
    }

    /// The API server's last refusal.
    pub(super) fn refusal(&self, cache: &str) -> Option<&ResizeRefusal> {
        self.shards.get(cache)?.refusal.as_ref()
    }

    /// Whether pods may be resized now.
    pub(super) fn may_resize(&self, cache: &str, now: Timestamp) -> bool {
        let until = self.shards.get(cache).and_then(|known| known.until);
        has_waited(until, now, RESIZED_AGAIN_AFTER)
    }

    /// Records that a pod could not be put in or out of its Service.
    pub fn note_ejection_failure(&mut self, component: &str, now: Timestamp) {
        let writes = self.ejections.entry(component.to_owned()).or_default();
        writes.labels = now.checked_add(EJECTED_AGAIN_AFTER).ok();
    }

    /// Records the eviction of a pod, which may have been refused.
    pub fn note_eviction(&mut self, component: &str, is_made: bool, now: Timestamp) {
        let writes = self.ejections.entry(component.to_owned()).or_default();
        let wait = EJECTED_AGAIN_AFTER * (1 << writes.refused.min(DOUBLINGS));
        writes.refused = if is_made { 0 } else { writes.refused.saturating_add(1) };
        writes.evictions = now.checked_add(wait).ok();
    }

    /// Whether pods of a component may be put in or out of its Service now.
    pub(super) fn may_eject(&self, component: &str, now: Timestamp) -> bool {
        let until = self.ejections.get(component).and_then(|writes| writes.labels);
        has_waited(until, now, EJECTED_AGAIN_AFTER)
    }

    /// Whether a pod of a component may be evicted now.
    pub(super) fn may_evict(&self, component: &str, now: Timestamp) -> bool {
        let until = self.ejections.get(component).and_then(|writes| writes.evictions);
        has_waited(until, now, EJECTED_AGAIN_AFTER * (1 << DOUBLINGS))
    }

    /// The shards that leave a cache with this StatefulSet, if any do.
    pub(super) fn leaving(&mut self, cache: &str, replicas: i32) -> Option<Leaving> {
        let leaving = self.leaving.get(cache).copied().filter(|leaving| leaving.listed(replicas) < replicas);
        if leaving.is_none() {
            self.leaving.remove(cache);
        }
        leaving
    }

    /// Removes the components that the app no longer has.
    pub(super) fn retain(&mut self, app: &App) {
        self.components.retain(|name, _| app.component(name).is_some());
        self.leaving.retain(|name, _| app.component(name).is_some());
        self.shards.retain(|name, _| app.component(name).is_some());
        self.ejections.retain(|name, _| app.component(name).is_some());
    }

    /// The replicas of the writes that the cache does not show yet, by revision. A Deployment that is missing from the
    /// cache was deleted, or is not there yet; in both cases there is nothing to wait for.
    pub(super) fn unshown(&mut self, component: &str, revisions: &[LiveRevision]) -> BTreeMap<String, i32> {
        let Some(Followed { awaited, .. }) = self.components.get_mut(component) else {
            return BTreeMap::new();
        };
        awaited.retain(|name, awaited| {
            revisions.iter().any(|revision| {
                revision.workload.name_any() == *name
                    && revision.workload.metadata.generation.unwrap_or_default() < awaited.generation
            })
        });
        awaited.values().map(|one| (one.revision.clone(), one.replicas)).collect()
    }

    /// Prepares the decision on a component: the first time from the status, and without the memory of metrics whose
    /// source has changed.
    pub(super) fn begin(&mut self, component: &Component, known: Option<&ComponentStatus>, now: Timestamp) {
        let name = component.name.as_str();
        if !self.decisions.components.contains_key(name) {
            self.decisions.components.insert(name.to_owned(), ComponentMemory::restore(known, now));
        }
        let followed = self.components.entry(name.to_owned()).or_default();
        let sources = sources(component);
        if followed.sources == sources {
            return;
        }
        if let Some(memory) = self.decisions.components.get_mut(name) {
            let others =
                followed.sources.iter().filter(|(metric, source)| sources.get(*metric) != Some(*source));
            others.for_each(|(metric, _)| memory.forget_metric(metric));
        }
        followed.sources = sources;
    }

    /// The source of a metric that is about to be decided.
    pub(super) fn source(&self, component: &str, metric: &str) -> Option<&Source> {
        self.components.get(component)?.sources.get(metric)
    }
}

/// Whether a wait of at most `longest` is over, or the clock was set back since it began.
fn has_waited(until: Option<Timestamp>, now: Timestamp, longest: SignedDuration) -> bool {
    until.is_none_or(|until| now >= until || until.duration_since(now) > longest)
}
