//! The decision and its reason. Pure.

use crate::allot::grants::AppDemands;
use crate::app::ejection::Ejected;
use crate::bounds::Bounds;
use crate::bounds::circuit::DependencyState;
use crate::diagnose::standing::Bottleneck;
use crate::memory::{AppMemory, MemoryChange, ScaleChange};
use crate::propose::evaluate::Invalid;
use crate::reason::Reason;
use crate::rollout::Plan;
use crate::rollout::memory::RolloutState;
use scalableapp_crds::{Proposal, Stage};
use std::collections::BTreeMap;

/// The decision for an app, with the memory for the next one.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Decisions by component; components that are not decided are missing.
    pub components: BTreeMap<String, ComponentDecision>,
    /// What is wrong with the app; `None` while nothing is, or too little is known.
    pub bottleneck: Option<Bottleneck>,
    /// The next safe step.
    pub plan: Plan,
    /// Size of the connection pools of each component, by its name, where it is known.
    pub pools: BTreeMap<String, i32>,
    /// Use of each budget that is shared with other apps, and the use without a limit.
    pub demands: AppDemands,
    /// The memory for the next decision, valid while no change is written.
    pub memory: AppMemory,
}

/// The decision for one component, with its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentDecision {
    /// Current replicas.
    pub current: i32,
    /// Replicas of the last written decision; `None` for a new component, or where it is not known whether they were
    /// written. They differ from `current` where somebody else wrote other ones.
    pub previous: Option<i32>,
    /// Desired replicas.
    pub desired: i32,
    /// Why the replicas change. Where they stay: a hold, the first limit, or the recommendation.
    pub reason: Reason,
    /// What limits `desired`, in order of precedence; empty if nothing does. A limit of load is also named where it was
    /// active, at these replicas, within the last minute. The stages name the active ones.
    pub limited_by: Vec<Reason>,
    /// Why nothing may be done; `None` if the metrics are valid, or if a bound decides without them.
    pub hold: Option<Reason>,
    /// Metrics with missing or incomplete evidence, by name. Latency is never among them.
    pub invalid: BTreeMap<String, Invalid>,
    /// Proposal of each metric, latency last.
    pub proposals: Vec<Proposal>,
    /// Effect of each stage, in order.
    pub stages: Vec<Stage>,
    /// The change to write, and to pass to [`AppMemory::commit`] afterwards; `None` without a change, and for the first
    /// replicas of a component, which no policy counts.
    pub change: Option<ScaleChange>,
    /// What is known of each dependency that it calls, by name.
    pub dependencies: BTreeMap<String, DependencyState>,
    /// The pods that get no requests, and the one to replace.
    pub ejected: Ejected,
    /// Whether the rollout waits, because the connection budget has no room for a new pod beside the only old one.
    pub rollout_waits: bool,
    /// Where the canary is; `None` where none is declared.
    pub canary: Option<RolloutState>,
    /// The growth of the memory of each shard of a cache, to be passed to [`AppMemory::commit`] once it is written; `None`
    /// where it stays.
    pub memory: Option<MemoryChange>,
    /// The bounds of the replicas.
    pub(crate) bounds: Bounds,
}
