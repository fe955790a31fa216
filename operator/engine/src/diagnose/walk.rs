//! From the node with the symptom along synchronous calls to the node that explains it. Pure.

use super::changes::{Changed, Changes};
use super::gate::Alarm;
use super::graph::Graph;
use super::quantity::{Quantity, Statistic};
use std::collections::BTreeSet;

/// A callee explains its caller from this share of the caller's excess. Between 0.1 and 0.5 it hardly matters.
pub(crate) const EXPLAINS: f64 = 0.3;
/// How far above normal a callee must itself be.
const ABOVE_NORMAL: f64 = 2.0;

/// How much more a callee must be above normal that is so for less than half of the window.
const FOR_A_WHILE: f64 = 2.0;

/// The walk: the nodes that it went through, the last of which explains the symptom.
pub(crate) struct Walk {
    pub(crate) path: Vec<String>,
    /// The callee that came second at a step, and its share of the chosen one's excess.
    pub(crate) second: Option<(String, f64)>,
}

/// Walks from an alarm to the callee with the largest excess, until no callee explains the excess of the node.
pub(crate) fn walk(alarm: &Alarm, changes: &Changes, graph: &Graph<'_>) -> Walk {
    let mut walk = Walk { path: vec![alarm.node.clone()], second: None };
    let told = changes.at(&alarm.node).iter().find(|one| one.name == alarm.series);
    let mut measure = Measure { quantity: alarm.quantity, statistic: told.map(|one| one.statistic) };
    let mut visited = BTreeSet::new();
    loop {
        let Some(node) = walk.path.last().cloned() else { return walk };
        visited.insert(node.clone());
        let mut next = explaining(&node, measure, changes, graph);
        next.retain(|(callee, _)| !visited.contains(callee));
        if next.is_empty() && measure.quantity == Quantity::Failures {
            // Failures may be time-outs: a callee that is much slower explains them as well.
            measure = Measure { quantity: Quantity::Latency, statistic: None };
            next = explaining(&node, measure, changes, graph);
            next.retain(|(callee, _)| {
                !visited.contains(callee) && changes.symptom(callee).0 >= 2.0 * ABOVE_NORMAL
            });
        }
        next.sort_by(|a, b| b.1.total_cmp(&a.1));
        let Some((callee, excess)) = next.first().cloned() else { return walk };
        if let Some((other, less)) = next.get(1) {
            let share = less / excess;
            if walk.second.as_ref().is_none_or(|(_, so_far)| share > *so_far) {
                walk.second = Some((other.clone(), share));
            }
        }
        walk.path.push(callee);
    }
}

/// What is compared along the calls.
#[derive(Clone, Copy)]
struct Measure {
    quantity: Quantity,
    statistic: Option<Statistic>,
}

/// Callees that explain a node, with their excess.
fn explaining(node: &str, measure: Measure, changes: &Changes, graph: &Graph<'_>) -> Vec<(String, f64)> {
    let callees = graph.known_below(node, |one| series(one, measure, changes).is_some());
    let own = excess(node, measure, changes, graph).unwrap_or(0.0);
    let candidates = callees.into_iter().filter_map(|callee| {
        let change = series(callee, measure, changes)?.change;
        let of_mean = (change.mean - change.normal) / change.spread.max(f64::MIN_POSITIVE);
        let is_above = change.z() >= ABOVE_NORMAL || of_mean >= FOR_A_WHILE * ABOVE_NORMAL;
        let excess = excess(callee, measure, changes, graph)?;
        (is_above && excess > 0.0 && excess >= EXPLAINS * own).then(|| (callee.to_owned(), excess))
    });
    candidates.collect()
}

/// Requests × (mean − normal), over the pods of a node: the seconds or failures that it adds.
pub(crate) fn excess_of(node: &str, quantity: Quantity, changes: &Changes, graph: &Graph<'_>) -> f64 {
    excess(node, Measure { quantity, statistic: None }, changes, graph).unwrap_or(0.0)
}

fn excess(node: &str, measure: Measure, changes: &Changes, graph: &Graph<'_>) -> Option<f64> {
    let chosen = series(node, measure, changes)?;
    let total = |node: &str| changes.total(node, Quantity::Requests).map(|(value, _)| value);
    // A node whose requests are not counted is called about once for each request of its callers.
    let of_callers = graph.callers(node).filter_map(total).reduce(|a, b| a + b).unwrap_or(1.0);
    let mut sum = 0.0;
    for one in changes
        .all(node, measure.quantity)
        .filter(|one| one.statistic == chosen.statistic && one.name == chosen.name)
    {
        let requests = changes.all(node, Quantity::Requests).find(|requests| requests.source == one.source);
        let requests = match one.statistic {
            Statistic::Count => 1.0,
            _ => requests.map_or(of_callers, |requests| requests.change.value),
        };
        sum += requests * (one.change.mean - one.change.normal);
    }
    Some(sum)
}

/// The series of a node that is comparable with the symptom: the same statistic, else the one closest to a mean.
fn series<'a>(node: &str, measure: Measure, changes: &'a Changes) -> Option<&'a Changed> {
    let rank = |one: &Changed| match one.statistic {
        same if Some(same) == measure.statistic => 0,
        Statistic::Mean => 1,
        Statistic::Unknown | Statistic::Count => 2,
        Statistic::Quantile(percent) => 3 + percent.abs_diff(90),
        Statistic::Max => u8::MAX,
    };
    // Of several pods the one that changed most.
    let order =
        |a: &&Changed, b: &&Changed| rank(a).cmp(&rank(b)).then(b.change.z().total_cmp(&a.change.z()));
    changes.all(node, measure.quantity).min_by(order)
}
