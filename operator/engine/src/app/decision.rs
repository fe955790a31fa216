//! What was decided, and why. Pure.

use crate::allot::grants::AppDemands;
use crate::bounds::Bounds;
use crate::diagnose::Verdict;
use crate::memory::{AppMemory, ScaleChange};
use crate::propose::evaluate::Invalid;
use crate::reason::Reason;
use crate::rollout::Plan;
use scalableapp_crds::{Proposal, Stage};
use std::collections::BTreeMap;

/// What to do with an app, and what to remember.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What was decided for each component, by name; nothing for those of which nothing is decided.
    pub components: BTreeMap<String, ComponentDecision>,
    /// The one cause that was named, if any.
    pub verdict: Option<Verdict>,
    /// The next safe step.
    pub plan: Plan,
    /// What the app uses of each budget that it shares with others, and what it would use.
    pub demands: AppDemands,
    /// The memory for the next decision, as long as no change was written.
    pub memory: AppMemory,
}

/// What to do with one component, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentDecision {
    /// Replicas before.
    pub current: i32,
    /// The replicas of the last decision that was written; nothing for a new component, or where it is not known whether
    /// they were written. They differ from `current` where somebody else has written other ones.
    pub previous: Option<i32>,
    /// Replicas that the component should have.
    pub desired: i32,
    /// Why the replicas change or, where they stay, why they do: a hold, the first limit, or what the metrics ask for.
    pub reason: Reason,
    /// What keeps `desired` from what is asked for, the one that wins first; empty if nothing. A limit of load is also
    /// named where it bound, at these replicas, in the last minute. The stages say what binds now.
    pub limited_by: Vec<Reason>,
    /// Why nothing may be done; nothing if the metrics can be acted on, or if a bound decides without them.
    pub hold: Option<Reason>,
    /// Metrics whose evidence is missing or not whole, by name. Latency is never among them.
    pub invalid: BTreeMap<String, Invalid>,
    /// What each metric asked for, latency last.
    pub proposals: Vec<Proposal>,
    /// What each stage did, in order.
    pub stages: Vec<Stage>,
    /// The change to write and then to tell [`AppMemory::commit`]; nothing if there is none, and nothing for the first
    /// replicas of a component, which no policy counts.
    pub change: Option<ScaleChange>,
    /// What the replicas were kept within.
    pub(crate) bounds: Bounds,
}
