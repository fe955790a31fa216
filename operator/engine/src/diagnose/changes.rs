//! The changes of all series of an observation, by node and quantity. Pure.

use super::observation::{Frame, Observation, TimeSeries, service_of};
use super::quantity::{Quantity, Statistic};
use super::statistics::Change;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How many ordinary differences above normal a change is noticed.
pub(crate) const NOTICED: f64 = 3.0;

/// A series that changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Changed {
    /// The node with the series: a pod, where a node of the graph is a service.
    pub(crate) source: String,
    /// Name of the series.
    pub(crate) name: String,
    pub(crate) quantity: Quantity,
    pub(crate) statistic: Statistic,
    pub(crate) change: Change,
}

impl Changed {
    /// How far above normal, or 0 where the growth is too small to matter.
    pub(crate) fn growth(&self) -> f64 {
        if self.change.ratio() >= self.quantity.material() { self.change.z().max(0.0) } else { 0.0 }
    }
}

/// The changes of every node.
pub(crate) struct Changes {
    nodes: BTreeMap<String, Vec<Changed>>,
    /// Growth of a node's quantity in ordinary windows, where that is noticed.
    pub(crate) ordinary: Ordinary,
}

/// Growth in ordinary windows by node and quantity.
pub(crate) type Ordinary = Rc<BTreeMap<(String, Quantity), f64>>;

impl Changes {
    /// Pods count as their service where the calls name services alone.
    pub(crate) fn of(observation: &Observation, frame: &Frame) -> Self {
        let called: BTreeSet<&str> =
            observation.calls.iter().flat_map(|call| [call.caller.as_str(), call.callee.as_str()]).collect();
        let mut nodes: BTreeMap<String, Vec<Changed>> = BTreeMap::new();
        for (source, list) in &observation.nodes {
            let service = service_of(source).filter(|service| called.contains(service));
            let node = if called.contains(source.as_str()) { source } else { service.unwrap_or(source) };
            let of = |series: &TimeSeries| Change::of(&series.samples, frame, series.quantity);
            let requests = list.iter().filter(|series| series.quantity == Quantity::Requests).find_map(of);
            let more = requests.map_or(1.0, |requests| requests.ratio().max(1.0));
            let is_idle = requests.is_some_and(|requests| requests.value <= 0.0);
            let changed = list.iter().filter_map(|series| {
                let mut change = of(series)?;
                if is_idle && series.quantity.is_of_requests() {
                    return None;
                }
                if series.statistic == Statistic::Count {
                    // As many failures as with the normal requests.
                    change.value /= more;
                    change.mean /= more;
                }
                change.varies.then(|| Changed {
                    source: source.clone(),
                    name: series.name.clone(),
                    quantity: series.quantity,
                    statistic: series.statistic,
                    change,
                })
            });
            nodes.entry(node.to_owned()).or_default().extend(changed);
        }
        Self { nodes, ordinary: Ordinary::default() }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// The name of a node, if something of it is measured.
    pub(crate) fn name(&self, node: &str) -> Option<&str> {
        self.nodes.get_key_value(node).map(|(name, _)| name.as_str())
    }

    pub(crate) fn at(&self, node: &str) -> &[Changed] {
        self.nodes.get(node).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn all(&self, node: &str, quantity: Quantity) -> impl Iterator<Item = &Changed> {
        self.at(node).iter().filter(move |one| one.quantity == quantity)
    }

    /// The series of a quantity that grew most.
    pub(crate) fn most(&self, node: &str, quantity: Quantity) -> Option<&Changed> {
        self.all(node, quantity).max_by(|a, b| a.change.z().total_cmp(&b.change.z()))
    }

    /// Growth of a quantity that all its statistics agree on but one: a single histogram bucket misleads one of them.
    /// The pods of a service need not agree. Growth that ordinary windows show too counts for less.
    pub(crate) fn agreed(&self, node: &str, quantity: Quantity) -> f64 {
        let ordinary = self.ordinary.get(&(node.to_owned(), quantity)).copied().unwrap_or(0.0);
        self.raw(node, quantity) / (ordinary / NOTICED).max(1.0)
    }

    pub(crate) fn raw(&self, node: &str, quantity: Quantity) -> f64 {
        let mut pods: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for one in self.all(node, quantity) {
            pods.entry(&one.source).or_default().push(one.growth());
        }
        let second = |mut growth: Vec<f64>| {
            growth.sort_by(|a, b| b.total_cmp(a));
            growth.get(1).or(growth.first()).copied().unwrap_or(0.0)
        };
        pods.into_values().map(second).fold(0.0, f64::max)
    }

    /// Growth of latency or failures, whichever grew more, and which that is.
    pub(crate) fn symptom(&self, node: &str) -> (f64, Quantity) {
        let of = |quantity| (self.agreed(node, quantity), quantity);
        let (latency, failures) = (of(Quantity::Latency), of(Quantity::Failures));
        if failures.0 > latency.0 { failures } else { latency }
    }

    /// Level of a quantity in the window and normally, over the pods of a node: the sum, by the first series of each.
    pub(crate) fn total(&self, node: &str, quantity: Quantity) -> Option<(f64, f64)> {
        let mut sources = BTreeMap::new();
        for one in self.all(node, quantity) {
            sources.entry(&one.source).or_insert((one.change.value, one.change.normal));
        }
        sources.into_values().reduce(|sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// How much a quantity grew, as a ratio; 1 where it is not known.
    pub(crate) fn ratio(&self, node: &str, quantity: Quantity) -> f64 {
        match self.total(node, quantity) {
            Some((value, normal)) if normal > 0.0 && value > 0.0 => value / normal,
            _ => 1.0,
        }
    }
}
