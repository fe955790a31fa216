//! One component as the rules see it. Pure.

use crate::bounds::overrides::Overrides;
use crate::evidence::Evidence;
use crate::evidence::backlog::BacklogReading;
use crate::evidence::cache::CacheReading;
use crate::evidence::recent::RecentRate;
use crate::evidence::sample::Reading;
use crate::forecast::season::Seasonal;
use crate::hpa::pod::{Pod, Ready, ReadyStatus, Resource, living};
use crate::input::Input;
use crate::memory::ComponentMemory;
use crate::propose::metric::Target;
use crate::stack::Component;
use crate::state::Observed;
use jiff::{SignedDuration, Timestamp};
use std::borrow::Cow;

/// One component: its declaration, state and evidence.
#[derive(Clone)]
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) declared: &'a Component,
    pub(crate) observed: &'a Observed,
    /// The sum of `spec.replicas` over the live revisions, without the surge of a rollout.
    pub(crate) current_replicas: i32,
    /// Pods of a canary, which run in addition.
    pub(crate) canary_replicas: i32,
    /// Replicas of the last written decision; `None` for a new component. They differ from the current replicas where
    /// somebody else wrote other ones.
    pub(crate) decided_replicas: Option<i32>,
    /// Existing replicas (`status.replicas`).
    pub(crate) existing_replicas: i32,
    /// The pods that have not ended, with their usage where a metric is read from it.
    pub(crate) pods: Cow<'a, [Pod]>,
    /// The overrides in force.
    pub(crate) overrides: &'a Overrides,
    /// Replicas that it needs whatever else limits it; 0 without such a need.
    pub(crate) required: i32,
    evidence: &'a dyn Evidence,
}

const NO_OVERRIDES: &Overrides = &Overrides { hold: None, min: None, max: None };

impl<'a> Subject<'a> {
    /// Records in `memory` whether the component starts without a revision.
    pub(crate) fn of(
        input: &Input<'a>,
        name: &'a str,
        declared: &'a Component,
        observed: &'a Observed,
        memory: &mut ComponentMemory,
    ) -> Self {
        Self {
            name,
            now: input.now,
            declared,
            observed,
            current_replicas: memory.current_replicas(&observed.revisions),
            canary_replicas: canary_replicas(memory, observed),
            decided_replicas: memory.decided_replicas(observed.scaled_by_other),
            existing_replicas: observed.existing_replicas,
            pods: without_ejected(measured(&observed.pods, declared, input.evidence), observed),
            overrides: input.limits.overrides.get(name).unwrap_or(NO_OVERRIDES),
            required: input.limits.required.get(name).copied().unwrap_or(0),
            evidence: input.evidence,
        }
    }

    /// The age up to which a sample is fresh.
    pub(crate) fn max_age(&self) -> SignedDuration {
        self.evidence.max_age()
    }

    /// Result of a metric's query.
    pub(crate) fn reading(&self, metric: &str) -> Option<Cow<'_, Reading>> {
        self.evidence.reading(self.name, metric)
    }

    /// The backlog of a metric.
    pub(crate) fn backlog(&self, metric: &str) -> Option<Cow<'_, BacklogReading>> {
        self.evidence.backlog(self.name, metric)
    }

    /// The evictions of a cache, for its metric.
    pub(crate) fn cache(&self, metric: &str) -> Option<Cow<'_, CacheReading>> {
        self.evidence.cache(self.name, metric)
    }

    /// The request rate over a short window.
    pub(crate) fn recent_rate(&self) -> Option<RecentRate> {
        self.evidence.recent_rate(self.name)
    }

    /// State of a metric's season.
    pub(crate) fn season(&self, metric: &str) -> Option<Cow<'_, Seasonal>> {
        self.evidence.season(self.name, metric)
    }
}

fn canary_replicas(memory: &ComponentMemory, observed: &Observed) -> i32 {
    let of_canary = |hash: &str| observed.revisions.iter().find(|one| one.hash == hash);
    memory.trial().and_then(|trial| of_canary(&trial.canary)).map_or(0, |one| one.replicas)
}

/// The pods, of which those without requests count as never ready: their idle CPU is no sign of a low load.
fn without_ejected<'a>(mut pods: Cow<'a, [Pod]>, observed: &Observed) -> Cow<'a, [Pod]> {
    if observed.ejected.is_empty() {
        return pods;
    }
    for pod in pods.to_mut().iter_mut().filter(|pod| observed.ejected.contains(&*pod.name)) {
        pod.ready = pod.start.map(|since| Ready { status: ReadyStatus::False, since });
    }
    pods
}

fn measured<'a>(pods: &'a [Pod], declared: &Component, evidence: &dyn Evidence) -> Cow<'a, [Pod]> {
    let mut pods = living(pods);
    for metric in declared.metrics() {
        let resource = match metric.target {
            Target::Cpu(_) => Resource::Cpu,
            Target::Memory(_) => Resource::Memory,
            _ => continue,
        };
        for pod in pods.to_mut() {
            let sample = evidence.usage(pod, resource);
            match resource {
                Resource::Cpu => pod.usage.cpu = sample,
                Resource::Memory => pod.usage.memory = sample,
            }
        }
    }
    pods
}
