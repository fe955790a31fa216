//! A slow database: each query holds its connection longer, by itself or because it waits for a lock. Pure.

use super::facts::{Facts, between, sure};
use super::pool::{UNDECIDED, wait};
use crate::diagnose::changes::Changed;
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::{DATABASE_SLOW, LOCK_WAIT};

/// Query time counts from this multiple of normal, and fully from the second.
const SLOWER: (f64, f64) = (1.2, 2.0);
/// Of a slow database whose sessions wait for locks, the lock is the cause.
const OF_LOCKS: f64 = 0.6;

pub(super) fn lock_wait(facts: &Facts<'_>) -> Option<Finding> {
    let lock = facts.near(Quantity::LockWait)?;
    let evidence = [Some(lock), facts.near(Quantity::QueryTime), wait(facts)];
    let mut finding = facts.finding(LOCK_WAIT, sure(lock), &evidence, Intervention::Query)?;
    finding.node = facts.node_of(lock);
    Some(finding)
}

pub(super) fn database_slow(facts: &Facts<'_>) -> Option<Finding> {
    let waits = wait(facts);
    let slow = facts.near(Quantity::QueryTime).filter(|one| sure(one) > 0.0);
    let active = facts.near(Quantity::ActiveQueries).filter(|one| sure(one) > 0.0);
    let seen = |one: Option<&Changed>| one.map_or(0.0, sure);
    let mut strength = match (facts.is_held_longer(), facts.hold()) {
        (Some(true), Some(hold)) => {
            between(hold, SLOWER.0, SLOWER.1) * seen(slow).max(seen(waits)).max(seen(active))
        }
        (None, _) => UNDECIDED * seen(waits),
        _ => 0.0,
    };
    if facts.near(Quantity::LockWait).is_some_and(|lock| sure(lock) > 0.0) {
        strength *= OF_LOCKS;
    }
    let evidence = [slow, active, waits];
    let mut finding = facts.finding(DATABASE_SLOW, strength, &evidence, Intervention::Query)?;
    if let Some(database) = slow.or(active) {
        finding.node = facts.node_of(database);
    }
    Some(finding)
}
