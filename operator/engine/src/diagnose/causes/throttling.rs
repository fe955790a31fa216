//! CPU throttling: the limit is reached within single periods, whatever the mean is. Pure.

use super::facts::{Facts, sure};
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::CPU_THROTTLED;

/// Throttling is a means of the limit, and slows only where CPU is short.
const WEIGHT: f64 = 0.8;

pub(super) fn throttled(facts: &Facts<'_>) -> Option<Finding> {
    let throttling = facts.own(Quantity::CpuThrottling)?;
    let evidence = [Some(throttling), facts.own(Quantity::CpuShare), facts.own(Quantity::Latency)];
    facts.finding(CPU_THROTTLED, WEIGHT * sure(throttling), &evidence, Intervention::MoreCpu)
}
