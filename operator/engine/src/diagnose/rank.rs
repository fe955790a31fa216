//! The order of nodes by what is strange about each of them, where calls are not known or do not decide. Pure.

use super::causes::{Facts, findings};
use super::changes::{Changes, NOTICED};
use super::quantity::Quantity;
use crate::reason::EXTERNAL_LATENCY;

/// What a resource that is used up weighs against latency, whose weight is a logarithm.
const OF_RESOURCE: f64 = 4.0;
/// Most that series of unknown meaning weigh, together.
const OF_OTHERS: f64 = 0.5;
/// What falling latency weighs: where callers wait longer and the node answers faster, the time passes in between.
const OF_SILENCE: f64 = 0.3;

/// A node with its score.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ranked {
    pub(crate) node: String,
    pub(crate) score: f64,
}

/// All nodes of which something is measured, the strangest first.
pub(crate) fn rank<'a>(changes: &'a Changes, facts: impl Fn(&'a str) -> Facts<'a>) -> Vec<Ranked> {
    let waiting = changes.nodes().any(|node| waits(changes, node));
    let score = |node: &'a str| {
        let found = findings(&facts(node));
        let resource = found.iter().find(|one| one.cause != EXTERNAL_LATENCY).map_or(0.0, |one| one.strength);
        let quiet = if waiting { OF_SILENCE * silence(changes, node) } else { 0.0 };
        own_symptom(changes, node) + OF_RESOURCE * resource + others(changes, node) + quiet
    };
    let mut all: Vec<Ranked> =
        changes.nodes().map(|node| Ranked { node: node.to_owned(), score: score(node) }).collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.node.cmp(&b.node)));
    all
}

/// Whether a node is slow because its calls are.
pub(crate) fn waits(changes: &Changes, node: &str) -> bool {
    changes.agreed(node, Quantity::ClientLatency) >= NOTICED
        && changes.agreed(node, Quantity::Latency) >= NOTICED
}

/// Growth of latency and failures that calls of the node do not explain, as orders of magnitude: the node that calls
/// nobody grows most against its small normal latency.
fn own_symptom(changes: &Changes, node: &str) -> f64 {
    let of = |quantity| {
        let growth = changes.agreed(node, quantity);
        let ratio = changes.most(node, quantity).map_or(1.0, |one| one.change.ratio());
        if growth < NOTICED { 0.0 } else { f64::midpoint((growth / NOTICED).ln_1p(), ratio.max(1.0).ln()) }
    };
    let latency = (of(Quantity::Latency) - of(Quantity::ClientLatency)).max(0.0);
    latency + of(Quantity::Failures)
}

/// How much faster than normal a node answers.
fn silence(changes: &Changes, node: &str) -> f64 {
    let falls = changes.all(node, Quantity::Latency).map(|one| -one.change.z());
    (falls.fold(0.0, f64::max) / NOTICED).ln_1p()
}

fn others(changes: &Changes, node: &str) -> f64 {
    let strangest = changes.all(node, Quantity::Other);
    let growth = strangest.map(|one| one.growth()).fold(0.0, f64::max);
    if growth < NOTICED { 0.0 } else { (growth / NOTICED).ln_1p().min(OF_OTHERS) }
}
