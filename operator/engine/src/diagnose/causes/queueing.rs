//! Requests that wait for their turn, or more requests than before, while no resource is used up. Pure.

use super::facts::{Facts, between, near_limit, sure};
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::QUEUEING;

/// Requests count from this multiple of normal, and fully from the second.
const MORE: (f64, f64) = (1.2, 2.0);
/// More requests and slower answers at the same time are a hint, a queue is a fact.
const OF_LOAD: f64 = 0.6;

pub(super) fn queues(facts: &Facts<'_>) -> Option<Finding> {
    let queue = facts.own(Quantity::QueueTime);
    let in_flight = facts.own(Quantity::InFlight);
    let of_limit = match (in_flight, facts.concurrency_limit()) {
        (Some(used), Some(limit)) if limit > 0.0 => near_limit(used.change.value / limit) * sure(used),
        _ => 0.0,
    };
    let requests = facts.own(Quantity::Requests);
    let is_slower = facts.own(Quantity::Latency).map_or(0.0, sure);
    let of_load = requests
        .map_or(0.0, |one| OF_LOAD * sure(one).min(is_slower) * between(one.change.ratio(), MORE.0, MORE.1));
    let strength = queue.map_or(0.0, sure).max(of_limit).max(of_load);
    facts.finding(QUEUEING, strength, &[queue, in_flight, requests], Intervention::MorePods)
}
