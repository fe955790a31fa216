//! Jobs that wait longer and longer. Pure.

use super::facts::{Facts, between, sure};
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::BACKLOG_GROWS;

/// Waiting jobs count from this multiple of normal, and fully from the second.
const MORE: (f64, f64) = (1.5, 3.0);
/// Slow jobs make a backlog too: their cause is stronger.
const WEIGHT: f64 = 0.8;

pub(super) fn grows(facts: &Facts<'_>) -> Option<Finding> {
    let (backlog, age) = (facts.own(Quantity::Backlog), facts.own(Quantity::OldestAge));
    let strength =
        backlog.into_iter().chain(age).map(|one| sure(one) * between(one.change.ratio(), MORE.0, MORE.1));
    let strength = WEIGHT * strength.fold(0.0, f64::max);
    facts.finding(BACKLOG_GROWS, strength, &[backlog, age], Intervention::MorePods)
}
