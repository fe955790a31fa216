//! What was decided for one component, and why. Pure.

use crate::bounds::Bounds;
use crate::memory::{Memory, ScaleChange};
use crate::propose::evaluate::Invalid;
use crate::reason::Reason;
use scalableapp_crds::{Proposal, Stage};
use std::collections::BTreeMap;

/// What to do, why, and what to remember.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Replicas before.
    pub current: i32,
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
    /// The change to write and then to tell [`Memory::record`]; nothing if there is none, and nothing for the first
    /// replicas of a component, which no policy counts.
    pub change: Option<ScaleChange>,
    /// The memory for the next decision, as long as `change` was not written.
    pub memory: Memory,
    /// What the replicas were kept within.
    pub(crate) bounds: Bounds,
}
