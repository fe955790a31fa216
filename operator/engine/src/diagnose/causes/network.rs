//! Network: far more bytes, packets or sockets than the requests explain. Pure.

use super::facts::{Facts, between, sure};
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::NETWORK_SATURATED;

/// Counts from this multiple of what the requests explain, and fully from the second.
const UNEXPLAINED: (f64, f64) = (2.0, 6.0);
/// What the network could do is not known.
const WEIGHT: f64 = 0.7;

pub(super) fn saturated(facts: &Facts<'_>) -> Option<Finding> {
    let network = facts.own(Quantity::Network)?;
    let ratio = network.change.ratio() / facts.ratio(Quantity::Requests).max(1.0);
    let strength = WEIGHT * sure(network) * between(ratio, UNEXPLAINED.0, UNEXPLAINED.1);
    facts.finding(NETWORK_SATURATED, strength, &[Some(network)], Intervention::Code)
}
