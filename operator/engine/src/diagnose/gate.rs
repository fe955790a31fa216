//! Whether there is an incident at all. Pure.

use super::calibrate::Calibrated;
use super::changes::{Changed, Changes};
use super::graph::Graph;
use super::observation::Observation;
use super::quantity::{Meaning, Quantity};

/// How many ordinary differences above normal latency or failures are a symptom of their own, without anybody's word.
const ALARM: f64 = 5.0;
/// How much more it takes where users do not call the node, or where neither latency nor failures are measured.
const AWAY_FROM_USERS: f64 = 2.0;
/// Share of a limit at which a resource is used up.
const USED_UP: f64 = 0.85;

/// How much louder than ordinary windows the judged one must be.
const LOUDER: f64 = 1.5;

/// Where users feel something, and in which quantity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alarm {
    pub(crate) node: String,
    /// Name of the series; empty where only the quantity is known.
    pub(crate) series: String,
    pub(crate) quantity: Quantity,
    /// Whether it is seen, or named, and not only known that something is wrong.
    pub(crate) is_seen: bool,
}

/// The symptom. `None`: nobody says so, and nothing shows one.
pub(crate) fn symptom(
    observation: &Observation,
    calibrated: &Calibrated,
    graph: &Graph<'_>,
) -> Option<Alarm> {
    let changes = &calibrated.changes;
    if let Some(symptom) = &observation.symptom {
        let known = changes.at(&symptom.node).iter().find(|one| one.name == symptom.series);
        let named = Meaning::of(&symptom.series).quantity;
        let quantity = match known.map_or(named, |one| one.quantity) {
            Quantity::Failures => Quantity::Failures,
            Quantity::Latency => Quantity::Latency,
            _ => changes.symptom(&symptom.node).1,
        };
        let (node, series) = (symptom.node.clone(), symptom.series.clone());
        return Some(Alarm { node, series, quantity, is_seen: true });
    }
    let gate = Gate { observation, graph };
    for group in [Audience::Entry, Audience::Waited, Audience::Others] {
        let Some((loudness, quantity, node)) = gate.loudest(changes, group) else { continue };
        let ordinary =
            calibrated.ordinary_loudness(|one| gate.loudest(one, group).map_or(0.0, |found| found.0));
        if loudness >= ALARM.max(LOUDER * ordinary) {
            return Some(Alarm { node: node.to_owned(), series: String::new(), quantity, is_seen: true });
        }
    }
    // It is known that something is wrong, and nothing shows it: any node, in the quantity that grew most.
    let all = [Audience::Waited, Audience::Others, Audience::Entry].into_iter();
    let (_, quantity, node) = all
        .filter_map(|group| gate.loudest(changes, group))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or((0.0, Quantity::Latency, ""));
    let alarm = Alarm { node: node.to_owned(), series: String::new(), quantity, is_seen: false };
    observation.told.then_some(alarm)
}

/// Whether no symptom can be found, which is known without looking at ordinary windows: these only ask for more.
pub(crate) fn is_quiet(observation: &Observation, graph: &Graph<'_>) -> bool {
    if observation.symptom.is_some() || observation.told {
        return false;
    }
    let (gate, changes) = (Gate { observation, graph }, Changes::of(observation, &observation.frame()));
    let loudest = |group| gate.loudest(&changes, group).map_or(0.0, |found| found.0);
    [Audience::Entry, Audience::Waited, Audience::Others].into_iter().all(|group| loudest(group) < ALARM)
}

/// Nodes in which a symptom is looked for, one group after the other.
#[derive(Clone, Copy, PartialEq)]
enum Audience {
    /// What users call, where that is known.
    Entry,
    /// What somebody waits for.
    Waited,
    /// What only works on what it was told.
    Others,
}

struct Gate<'a> {
    observation: &'a Observation,
    graph: &'a Graph<'a>,
}

impl Gate<'_> {
    fn is_in(&self, node: &str, group: Audience) -> bool {
        match group {
            Audience::Entry => self.observation.entry.as_deref() == Some(node),
            Audience::Waited => self.graph.is_waited(node),
            Audience::Others => !self.graph.is_waited(node),
        }
    }

    /// How loud the loudest node of a group is, in which quantity, and its name.
    fn loudest<'a>(&self, changes: &'a Changes, group: Audience) -> Option<(f64, Quantity, &'a str)> {
        let is_felt = changes.nodes().any(|node| is_measured(changes, node));
        let has_entry = self.observation.entry.as_deref().is_some_and(|entry| is_measured(changes, entry));
        let is_away = !is_felt || (has_entry && group != Audience::Entry);
        let of = |node: &'a str| {
            let (growth, quantity) = if is_felt { changes.symptom(node) } else { strangest(changes, node) };
            (if is_away { growth / AWAY_FROM_USERS } else { growth }, quantity, node)
        };
        changes.nodes().filter(|node| self.is_in(node, group)).map(of).max_by(|a, b| a.0.total_cmp(&b.0))
    }
}

/// Whether what users would feel is measured at a node.
fn is_measured(changes: &Changes, node: &str) -> bool {
    [Quantity::Latency, Quantity::Failures]
        .iter()
        .any(|quantity| changes.all(node, *quantity).next().is_some())
}

/// For systems where neither latency nor failures are measured: growth that two series of a node agree on, or that uses
/// up a resource with a limit.
fn strangest(changes: &Changes, node: &str) -> (f64, Quantity) {
    let mut growth: Vec<f64> = changes.at(node).iter().map(Changed::growth).collect();
    growth.sort_by(|a, b| b.total_cmp(a));
    let agreed = growth.get(1).or(growth.first()).copied().unwrap_or(0.0);
    let used_up =
        changes.at(node).iter().filter(|one| one.quantity.is_share() && one.change.value >= USED_UP);
    (used_up.map(Changed::growth).fold(agreed, f64::max), Quantity::Other)
}
