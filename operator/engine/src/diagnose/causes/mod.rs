//! The causes: one function each, all with one signature, and the table of them. Pure.

mod backlog;
mod cache;
mod capacity;
mod cpu;
mod dependency;
mod disk;
mod external;
mod facts;
mod lag;
mod memory;
mod network;
mod overload;
mod pool;
mod queueing;
mod slow_query;
mod throttling;

pub(crate) use facts::Facts;

use super::verdict::Finding;

type Cause = fn(&Facts<'_>) -> Option<Finding>;

/// Causes that use up resources themselves: where one is found, no other is looked for.
const FIRST: [Cause; 2] = [capacity::not_granted, overload::sustained];

/// The other causes. Of equal strength the earlier one counts.
const CAUSES: [Cause; 16] = [
    pool::connections_exhausted,
    pool::too_small,
    slow_query::lock_wait,
    slow_query::database_slow,
    memory::saturated,
    cpu::saturated,
    throttling::throttled,
    disk::saturated,
    network::saturated,
    cache::misses,
    lag::behind,
    backlog::grows,
    dependency::failing,
    external::slow,
    external::outside,
    queueing::queues,
];

/// What the causes find at a node, the strongest first.
pub(crate) fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    if let Some(found) = FIRST.iter().find_map(|cause| cause(facts)) {
        return vec![found];
    }
    let mut found: Vec<Finding> = CAUSES.iter().filter_map(|cause| cause(facts)).collect();
    found.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    found
}
