//! Two trivial rules, for comparison. Pure.

use std::collections::{BTreeMap, BTreeSet};

use scalableapp_engine::diagnose::observation::{Observation, TimeSeries};
use scalableapp_engine::diagnose::quantity::Quantity;
use scalableapp_engine::diagnose::statistics::Change;
use scalableapp_engine::reason::{self, Reason};

use crate::answer::Answer;

/// An anomaly in any textbook.
const ANOMALY: f64 = 3.0;

/// The node with the largest robust z-score over CPU, memory, latency and failures, and the cause that this quantity names.
pub(crate) fn largest_z(observation: &Observation) -> Answer {
    answer(observation, strangest(observation, |quantity| cause(quantity).is_some()), |_| 0)
}

/// Of the nodes with an anomalous latency or failures the one with the most calls above it, and of these the strangest.
pub(crate) fn deepest(observation: &Observation) -> Answer {
    let felt = |quantity| matches!(quantity, Quantity::Latency | Quantity::Failures);
    let depths = depths(observation);
    answer(observation, strangest(observation, felt), |node| depths.get(node).copied().unwrap_or(0))
}

fn answer(
    observation: &Observation,
    mut nodes: Vec<(f64, Quantity, &str)>,
    depth: impl Fn(&str) -> usize,
) -> Answer {
    let is_told = observation.told || observation.symptom.is_some();
    nodes.sort_by(|a, b| b.0.total_cmp(&a.0));
    let strongest = nodes.first().map_or(0.0, |one| one.0);
    // Anomalous nodes first, the deepest of them before the others; a stable sort keeps the strangest first.
    nodes.sort_by_key(|(z, _, node)| std::cmp::Reverse(if *z >= ANOMALY { depth(node) + 1 } else { 0 }));
    let found = nodes.first().and_then(|one| cause(one.1)).unwrap_or(reason::NOT_A_SCALING_PROBLEM);
    let cause = if is_told || strongest >= ANOMALY { found } else { reason::HEALTHY };
    let ranking = nodes.into_iter().map(|(_, _, node)| node.to_owned()).collect();
    Answer { ranking, cause }
}

fn cause(quantity: Quantity) -> Option<Reason> {
    match quantity {
        Quantity::CpuShare | Quantity::CpuUse => Some(reason::CPU_SATURATED),
        Quantity::MemoryShare | Quantity::MemoryUse => Some(reason::MEMORY_SATURATED),
        Quantity::Latency | Quantity::ClientLatency => Some(reason::EXTERNAL_LATENCY),
        Quantity::Failures => Some(reason::NOT_A_SCALING_PROBLEM),
        _ => None,
    }
}

/// The largest z of each node, and of which quantity.
fn strangest(observation: &Observation, counts: impl Fn(Quantity) -> bool) -> Vec<(f64, Quantity, &str)> {
    let frame = observation.frame();
    let z = |one: &TimeSeries| Change::of(&one.samples, &frame, one.quantity).map(|change| change.z());
    let of_node = |list: &[TimeSeries]| {
        let all = list.iter().filter(|one| counts(one.quantity));
        all.filter_map(|one| Some((z(one)?, one.quantity))).max_by(|a, b| a.0.total_cmp(&b.0))
    };
    let nodes = observation.nodes.iter();
    nodes.filter_map(|(node, list)| of_node(list).map(|(z, quantity)| (z, quantity, node.as_str()))).collect()
}

/// Calls from the entry, or from nodes that nobody calls, to each node: the fewest.
fn depths(observation: &Observation) -> BTreeMap<&str, usize> {
    let called: BTreeSet<&str> = observation.calls.iter().map(|call| call.callee.as_str()).collect();
    let is_top =
        |node: &str| observation.entry.as_deref().map_or(!called.contains(node), |entry| entry == node);
    let callers = observation.calls.iter().map(|call| call.caller.as_str());
    let mut depths: BTreeMap<&str, usize> =
        callers.filter(|node| is_top(node)).map(|node| (node, 0)).collect();
    for depth in 1..=observation.calls.len() {
        let above: Vec<&str> =
            depths.iter().filter(|(_, at)| **at + 1 == depth).map(|(node, _)| *node).collect();
        if above.is_empty() {
            break;
        }
        for call in observation.calls.iter().filter(|call| above.contains(&call.caller.as_str())) {
            depths.entry(&call.callee).or_insert(depth);
        }
    }
    depths
}
