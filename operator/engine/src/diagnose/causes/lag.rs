//! Replicas that are behind their primary. Pure.

use super::facts::{Facts, between, sure};
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::REPLICA_LAG;

/// Lag counts from this multiple of normal, and fully from the second.
const MORE: (f64, f64) = (1.5, 4.0);
/// A lag slows nothing by itself: reads go to the primary.
const WEIGHT: f64 = 0.8;

pub(super) fn behind(facts: &Facts<'_>) -> Option<Finding> {
    let lag = facts.near(Quantity::ReplicaLag)?;
    let strength = WEIGHT * sure(lag) * between(lag.change.ratio(), MORE.0, MORE.1);
    let mut finding = facts.finding(REPLICA_LAG, strength, &[Some(lag)], Intervention::HoldReplicas)?;
    finding.node = facts.node_of(lag);
    Some(finding)
}
