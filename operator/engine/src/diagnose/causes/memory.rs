//! Memory: use near the limit, containers killed for it, or far more than normal where no limit is known. Pure.

use super::facts::{Facts, between, near_limit, sure};
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::MEMORY_SATURATED;

/// Memory hardly depends on load: use counts from this multiple of normal, and fully from the second.
const MORE: (f64, f64) = (1.2, 2.0);

pub(super) fn saturated(facts: &Facts<'_>) -> Option<Finding> {
    let killed = facts.own(Quantity::OutOfMemory);
    let share = facts.own(Quantity::MemoryShare);
    let used = facts.own(Quantity::MemoryUse);
    let of_share = share.map(|one| near_limit(one.change.value) * sure(one));
    let of_use = used.map(|one| sure(one) * between(one.change.ratio(), MORE.0, MORE.1));
    let of_killed = killed.map_or(0.0, sure);
    let strength = of_share.or(of_use).unwrap_or(0.0).max(of_killed);
    facts.finding(MEMORY_SATURATED, strength, &[killed, share.or(used)], Intervention::MoreMemory)
}
