//! Connections: a pool that is too small for the rate, and a database that has none left. Pure.
//!
//! Who waits for a connection looks the same whether the pool is small, the database is full, or its queries are slow.
//! Little's law distinguishes them: connections in use = rate × time that one is held.

use super::facts::{Facts, between, sure};
use crate::diagnose::changes::Changed;
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::{CONNECTIONS_EXHAUSTED, POOL_TOO_SMALL};

/// Shares of the allowed connections between which a database goes from free to full.
const FULL: (f64, f64) = (0.8, 0.95);
/// Without connections in use and without query times, a small pool and a slow database look alike.
pub(super) const UNDECIDED: f64 = 0.5;

/// The pool of the node, or of those that call it.
pub(super) fn wait<'a>(facts: &Facts<'a>) -> Option<&'a Changed> {
    facts.near(Quantity::PoolWait).filter(|wait| sure(wait) > 0.0)
}

/// Share of the allowed connections that are used.
fn used_share(facts: &Facts<'_>) -> Option<f64> {
    let connections = facts.near(Quantity::Connections)?.change.value;
    // A limit grows rarely, so its series is constant and no change: it is read as it is.
    let limit = facts.limit_of_connections()?;
    (limit > 0.0).then(|| connections / limit)
}

pub(super) fn connections_exhausted(facts: &Facts<'_>) -> Option<Finding> {
    let share = used_share(facts)?;
    let connections = facts.near(Quantity::Connections)?;
    let waits = wait(facts);
    let failures = facts.near(Quantity::Failures).filter(|one| sure(one) > 0.0);
    let felt = waits.or(failures).map_or(0.0, sure).max(sure(connections));
    let strength = between(share, FULL.0, FULL.1) * felt;
    facts.finding(
        CONNECTIONS_EXHAUSTED,
        strength,
        &[Some(connections), waits, failures],
        Intervention::ShrinkPools,
    )
}

pub(super) fn too_small(facts: &Facts<'_>) -> Option<Finding> {
    let waits = wait(facts)?;
    let is_full = used_share(facts).is_some_and(|share| share >= FULL.1);
    let strength = match facts.is_held_longer() {
        _ if is_full => 0.0,
        Some(true) => 0.0,
        Some(false) => sure(waits),
        None => UNDECIDED * sure(waits),
    };
    let evidence = [Some(waits), facts.near(Quantity::PoolInUse), facts.near(Quantity::QueryTime)];
    let mut finding = facts.finding(POOL_TOO_SMALL, strength, &evidence, Intervention::EnlargePool)?;
    finding.node = facts.node_of(waits);
    Some(finding)
}
