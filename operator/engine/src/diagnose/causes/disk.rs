//! Disk: far more reads and writes, or waiting for them, than the requests explain. Pure.

use super::facts::{Facts, between, sure};
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::DISK_SATURATED;

/// Counts from this multiple of what the requests explain, and fully from the second.
const UNEXPLAINED: (f64, f64) = (1.5, 4.0);
/// What a disk could do is not known.
const WEIGHT: f64 = 0.9;

pub(super) fn saturated(facts: &Facts<'_>) -> Option<Finding> {
    let disk = facts.own(Quantity::Disk)?;
    let ratio = disk.change.ratio() / facts.ratio(Quantity::Requests).max(1.0);
    let strength = WEIGHT * sure(disk) * between(ratio, UNEXPLAINED.0, UNEXPLAINED.1);
    facts.finding(DISK_SATURATED, strength, &[Some(disk)], Intervention::Storage)
}
