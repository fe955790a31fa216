//! Replicas that were asked for and not granted: a quota, or no machine with room. Pure.

use super::facts::Facts;
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::CAPACITY_NOT_GRANTED;

/// From half a replica in the middle of the window: one that waits for its first seconds is none.
const WAITING: f64 = 0.5;

pub(super) fn not_granted(facts: &Facts<'_>) -> Option<Finding> {
    let pending = facts.own(Quantity::PendingReplicas)?;
    let waits = pending.change.value >= WAITING && pending.change.value > pending.change.normal;
    let strength = if waits { 1.0 } else { 0.0 };
    facts.finding(CAPACITY_NOT_GRANTED, strength, &[Some(pending)], Intervention::Capacity)
}
