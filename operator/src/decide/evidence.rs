//! The samples of one app as the engine's evidence. Pure.

use super::memory::DecideMemory;
use super::series;
use crate::{
    observe::snapshot::Samples,
    resolve::app::{App, ComponentKey},
};
use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::{
    diagnose::observation::Observation,
    evidence::{
        Evidence,
        backlog::BacklogReading,
        cache::CacheReading,
        canary::CanaryReading,
        circuit::CircuitReading,
        connections::{ConnectionsReading, PoolReading},
        recent::RecentRate,
        sample::Reading,
    },
    forecast::season::Seasonal,
    hpa::pod::{Pod, PodSample, Resource},
};
use std::borrow::Cow;

/// The samples of one app.
pub(super) struct AppEvidence<'a> {
    pub(super) app: &'a App,
    pub(super) samples: &'a Samples,
    pub(super) memory: &'a DecideMemory,
}

impl Evidence for AppEvidence<'_> {
    fn max_age(&self) -> SignedDuration {
        self.samples.max_age()
    }

    fn reading(&self, component: &str, metric: &str) -> Option<Cow<'_, Reading>> {
        let key = &self.app.component(component)?.key;
        // Until the next tick the samples are those of the app before an edit.
        let is_of_this_edit = self.samples.source(key, metric) == self.memory.source(component, metric);
        is_of_this_edit.then(|| self.samples.reading(key, metric))?.map(Cow::Owned)
    }

    fn backlog(&self, component: &str, metric: &str) -> Option<Cow<'_, BacklogReading>> {
        let key = &self.app.component(component)?.key;
        let is_of_this_edit = self.samples.source(key, metric) == self.memory.source(component, metric);
        is_of_this_edit.then(|| self.samples.backlog(key, metric))?.map(Cow::Owned)
    }

    fn cache(&self, component: &str, metric: &str) -> Option<Cow<'_, CacheReading>> {
        let key = &self.app.component(component)?.key;
        let is_of_this_edit = self.samples.source(key, metric) == self.memory.source(component, metric);
        is_of_this_edit.then(|| self.samples.cache(key))?.map(Cow::Borrowed)
    }

    fn circuit(&self, component: &str, dependency: &str) -> Option<Cow<'_, CircuitReading>> {
        let component = self.app.component(component)?;
        self.samples.circuit(&component.key, dependency, component.breakers.get(dependency)?)
    }

    fn connections(&self, database: &str) -> Option<ConnectionsReading> {
        let App { namespace, name, .. } = self.app;
        self.samples.connections(&ComponentKey::new(namespace, name.as_str(), database))
    }

    fn pools(&self, component: &str) -> Option<PoolReading> {
        self.samples.pools(&self.app.component(component)?.key)
    }

    fn recent_rate(&self, component: &str) -> Option<RecentRate> {
        self.samples.recent_rate(&self.app.component(component)?.key)
    }

    fn canary(&self, component: &str) -> Option<Cow<'_, CanaryReading>> {
        let trial = self.memory.trial(component)?;
        let judged = self.samples.judged(&self.app.component(component)?.key)?;
        let reading = || CanaryReading {
            canary: judged.canary.clone(),
            stable: judged.stable.clone(),
            step: judged.step,
            verdict: judged.judgement.verdict,
            because: judged.judgement.because.clone(),
            sentence: judged.judgement.sentence.clone(),
        };
        // Until the next tick it is that of the step before.
        judged.is_of(trial).then(|| Cow::Owned(reading()))
    }

    fn usage(&self, pod: &Pod, resource: Resource) -> Option<PodSample> {
        self.samples.usage(&self.app.namespace, pod, resource)
    }

    fn season(&self, component: &str, metric: &str) -> Option<Cow<'_, Seasonal>> {
        let key = &self.app.component(component)?.key;
        self.samples.season(key, metric).map(Cow::Borrowed)
    }

    fn observation(&self, after: Option<Timestamp>) -> Option<Observation> {
        let timeline = self.memory.timeline();
        timeline.has_news(after).then(|| series::observation(self.app, timeline))
    }
}
