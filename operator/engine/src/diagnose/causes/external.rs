//! Time that passes outside of what is measured: in a callee without series, or in the network. Pure.

use super::facts::{Facts, sure};
use crate::diagnose::changes::NOTICED;
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::EXTERNAL_LATENCY;

/// A resource of the node itself is the nearer cause.
const WEIGHT: f64 = 0.8;
/// A node without any resource is outside, or is measured by others alone.
const OUTSIDE: f64 = 0.6;

/// Calls of the node are slow, and none of its measured callees explains that.
pub(super) fn slow(facts: &Facts<'_>) -> Option<Finding> {
    let calls = facts
        .own(Quantity::ClientLatency)
        .filter(|_| facts.changes.agreed(facts.node, Quantity::ClientLatency) >= NOTICED);
    let given_up = facts.own(Quantity::TimeOuts).filter(|one| sure(one) > 0.0);
    let latency = facts.own(Quantity::Latency);
    // How much of the node's own growth its calls explain, compared as orders of magnitude: calls per request are
    // not known.
    let explained = match (calls, latency) {
        (Some(_), Some(own)) if sure(own) == 0.0 => 0.0,
        (Some(calls), Some(own)) => (calls.change.ratio().ln() / own.change.ratio().ln()).clamp(0.0, 1.0),
        _ => 1.0,
    };
    let of_calls = calls.map_or(0.0, |one| sure(one) * explained);
    let strength = WEIGHT * of_calls.max(given_up.map_or(0.0, sure));
    facts.finding(EXTERNAL_LATENCY, strength, &[calls, given_up, latency], Intervention::CircuitBreaker)
}

/// The node is slow, and it is the kind of node of which no resource is measured while others have them.
pub(super) fn outside(facts: &Facts<'_>) -> Option<Finding> {
    let latency = facts.own(Quantity::Latency)?;
    let has_resources = |node: &str| {
        facts.observation.nodes.get(node).into_iter().flatten().any(|series| series.quantity.is_resource())
    };
    let is_outside = !facts.sources().any(has_resources);
    let others_have = facts.observation.nodes.keys().any(|node| has_resources(node));
    let strength = if is_outside && others_have { OUTSIDE * sure(latency) } else { 0.0 };
    facts.finding(EXTERNAL_LATENCY, strength, &[Some(latency)], Intervention::CircuitBreaker)
}
