//! A dependency whose circuit breaker is open. Pure.

use super::facts::Facts;
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::DEPENDENCY_FAILS;

/// A breaker that is open now and then says less than one that stays so.
const WEIGHT: f64 = 0.9;

pub(super) fn failing(facts: &Facts<'_>) -> Option<Finding> {
    let open = facts.own(Quantity::CircuitOpen)?;
    let is_more = open.change.value > open.change.normal;
    let strength = if is_more { WEIGHT * open.change.value.min(1.0) } else { 0.0 };
    let evidence = [Some(open), facts.own(Quantity::TimeOuts), facts.own(Quantity::ClientLatency)];
    facts.finding(DEPENDENCY_FAILS, strength, &evidence, Intervention::CircuitBreaker)
}
