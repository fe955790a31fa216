//! CPU: use near the limit, or far more than the requests explain where no limit is known. Pure.

use super::facts::{Facts, between, near_limit, sure};
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::CPU_SATURATED;

/// Use without a known limit counts from this multiple of what the requests explain, and fully from the second.
const UNEXPLAINED: (f64, f64) = (1.5, 3.0);
/// The machine's CPU is shared with others.
const SHARED: f64 = 0.7;
/// Slow queries use CPU: the query is the cause, its CPU the effect.
const OF_SLOW_QUERIES: f64 = 0.6;

pub(super) fn saturated(facts: &Facts<'_>) -> Option<Finding> {
    let requests = facts.ratio(Quantity::Requests).max(1.0);
    let (one, mut strength) = if let Some(share) = facts.own(Quantity::CpuShare) {
        (share, near_limit(share.change.value) * sure(share))
    } else if let Some(used) = facts.own(Quantity::CpuUse) {
        let (from, to) = UNEXPLAINED;
        (used, sure(used) * between(used.change.ratio() / requests, from, to))
    } else {
        let machine = facts.own(Quantity::MachineCpu)?;
        (machine, SHARED * near_limit(machine.change.value) * sure(machine))
    };
    let is_database = facts.own(Quantity::QueryTime).or(facts.own(Quantity::ActiveQueries)).is_some();
    if is_database && facts.is_held_longer() == Some(true) {
        strength *= OF_SLOW_QUERIES;
    }
    let latency = facts.own(Quantity::Latency);
    facts.finding(CPU_SATURATED, strength, &[Some(one), latency], Intervention::MorePods)
}
