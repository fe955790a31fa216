//! A cache that answers fewer reads than before. Pure.

use super::facts::{Facts, between, sure};
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::CACHE_MISSES;

/// Misses count from this share of reads more than normal, and fully from the second.
const MORE: (f64, f64) = (0.02, 0.1);
/// Evictions alone do no harm while the hit ratio holds.
const WITHOUT_EVICTIONS: f64 = 0.8;

pub(super) fn misses(facts: &Facts<'_>) -> Option<Finding> {
    let misses = facts.near(Quantity::MissRatio)?;
    let evictions = facts.near(Quantity::Evictions).filter(|one| sure(one) > 0.0);
    let more = between(misses.change.value - misses.change.normal, MORE.0, MORE.1);
    let weight = if evictions.is_some() { 1.0 } else { WITHOUT_EVICTIONS };
    let certain = if misses.change.z() >= crate::diagnose::changes::NOTICED { 1.0 } else { 0.0 };
    let mut finding = facts.finding(
        CACHE_MISSES,
        weight * more * certain,
        &[Some(misses), evictions],
        Intervention::Cache,
    )?;
    finding.node = facts.node_of(misses);
    Some(finding)
}
