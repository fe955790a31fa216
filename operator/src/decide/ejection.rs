//! Pods that leave or re-enter their Service, and the one that is evicted: what differs from the decision. Pure.
//!
//! The Service of a component selects the label of its tier. A pod without that label gets no requests, and stays in all
//! other ways what it is: its ReplicaSet, its PodDisruptionBudget and its metrics do not select it.

use super::memory::DecideMemory;
use super::pass::{ComponentPass, View};
use crate::observe::cluster::pods::CachedPod;
use scalableapp_crds::Tier;
use scalableapp_engine::reason::{self, Reason};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The writes for the pods of a component.
#[derive(Clone, Debug, Default)]
pub struct EjectionStep {
    /// The pods that leave the Service or re-enter it.
    pub changes: Vec<EjectionChange>,
    /// The pod to evict.
    pub evicted: Option<Evicted>,
}

/// A pod to evict.
#[derive(Clone, Debug)]
pub struct Evicted {
    /// The pod.
    pub pod: Arc<CachedPod>,
    /// Why.
    pub reason: Reason,
    /// The dependency whose breaker it has open; `None` where that is not why.
    pub dependency: Option<String>,
}

/// A pod that leaves its Service or re-enters it.
#[derive(Clone, Debug)]
pub struct EjectionChange {
    /// The pod.
    pub pod: Arc<CachedPod>,
    /// The dependency whose breaker it has open; `None` for a pod that re-enters.
    pub dependency: Option<String>,
}

/// Whether a pod of a service is not in its Service.
pub(super) fn is_ejected(pod: &CachedPod, tier: Tier) -> bool {
    tier == Tier::Service && pod.labels.tier != Some(tier)
}

/// The writes for each component that needs some.
pub(super) fn ejections(
    components: &[ComponentPass],
    view: View<'_>,
    memory: &DecideMemory,
) -> BTreeMap<String, EjectionStep> {
    let step = |one: &ComponentPass| {
        let (name, decision) = (one.state.name.as_str(), one.decision.as_ref()?);
        let wanted = &decision.ejected;
        let living = || view.observed.pods_of(name).filter(|pod| !pod.pod.deleting);
        let change = |pod: &Arc<CachedPod>| {
            let dependency = wanted.pods.get(&*pod.pod.name).cloned();
            let differs = dependency.is_some() != is_ejected(pod, one.state.tier);
            differs.then(|| EjectionChange { pod: Arc::clone(pod), dependency })
        };
        let is_replaced = |pod: &&Arc<CachedPod>| wanted.replace.as_deref() == Some(&*pod.pod.name);
        let evicted = living().find(is_replaced).filter(|pod| is_ejected(pod, one.state.tier));
        let evicted = evicted.map(|pod| Evicted {
            pod: Arc::clone(pod),
            reason: reason::POD_REPLACED,
            dependency: wanted.pods.get(&*pod.pod.name).cloned(),
        });
        let sick = decision.canary.as_ref().and_then(|canary| canary.sick_pod.as_deref());
        let sick = living().find(|pod| sick == Some(&*pod.pod.name)).map(|pod| Evicted {
            pod: Arc::clone(pod),
            reason: reason::CANARY_POD_REPLACED,
            dependency: None,
        });
        let evicted = evicted.or(sick);
        let step = EjectionStep {
            changes: if memory.may_eject(name, view.now) {
                living().filter_map(change).collect()
            } else {
                vec![]
            },
            evicted: evicted.filter(|_| memory.may_evict(name, view.now)),
        };
        (!step.changes.is_empty() || step.evicted.is_some()).then(|| (name.to_owned(), step))
    };
    components.iter().filter(|one| one.state.tier == Tier::Service).filter_map(step).collect()
}
