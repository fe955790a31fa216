//! What a cause sees of a node: its changes, and those of its neighbours. Pure.

use crate::diagnose::changes::{Changed, Changes, NOTICED};
use crate::diagnose::graph::Graph;
use crate::diagnose::observation::Observation;
use crate::diagnose::quantity::Quantity;
use crate::diagnose::verdict::{Finding, Intervention, Number};
use crate::reason::Reason;

/// Ordinary differences above normal at which nobody doubts a change any more.
const CERTAIN: f64 = 6.0;
/// Shares of a limit between which a resource goes from free to used up.
const FREE: f64 = 0.6;
const USED_UP: f64 = 0.85;

/// A node with its neighbours.
pub(crate) struct Facts<'a> {
    pub(crate) node: &'a str,
    pub(crate) changes: &'a Changes,
    pub(crate) graph: &'a Graph<'a>,
    pub(crate) observation: &'a Observation,
}

impl<'a> Facts<'a> {
    /// The series of a quantity at the node that grew most.
    pub(super) fn own(&self, quantity: Quantity) -> Option<&'a Changed> {
        self.changes.most(self.node, quantity)
    }

    /// The same over the node, what it calls and what calls it: a pool is at one end, its database at the other.
    pub(super) fn near(&self, quantity: Quantity) -> Option<&'a Changed> {
        let neighbours = self.graph.callees(self.node).chain(self.graph.callers(self.node));
        let all = neighbours.filter_map(|node| self.changes.most(node, quantity));
        all.chain(self.own(quantity)).max_by(|a, b| a.change.z().total_cmp(&b.change.z()))
    }

    /// How much a quantity of the node grew, as a ratio; 1 where it is not known.
    pub(super) fn ratio(&self, quantity: Quantity) -> f64 {
        self.changes.ratio(self.node, quantity)
    }

    /// Connections or queries at the same time ÷ their rate: Little's law gives the time that one is held. How much that
    /// grew, as a ratio, by the time of queries where that is measured; `None` where neither is.
    pub(super) fn hold(&self) -> Option<f64> {
        if let Some(time) = self.near(Quantity::QueryTime) {
            return Some(time.change.ratio());
        }
        let used = self.near(Quantity::PoolInUse).or_else(|| self.near(Quantity::ActiveQueries))?;
        let rate = self.near(Quantity::Requests)?.change.ratio();
        (rate > 0.0).then(|| used.change.ratio() / rate)
    }

    /// Whether the time that a connection is held grew, and more than the rate.
    pub(super) fn is_held_longer(&self) -> Option<bool> {
        let rate = self.near(Quantity::Requests).map_or(1.0, |requests| requests.change.ratio());
        Some(self.hold()? > rate.max(HELD_LONGER))
    }

    /// The name of the node whose series this is.
    pub(super) fn node_of(&self, one: &Changed) -> String {
        let around = self.graph.callees(self.node).chain(self.graph.callers(self.node)).chain([self.node]);
        around.into_iter().find(|node| self.changes.at(node).contains(one)).unwrap_or(self.node).to_owned()
    }

    /// Nodes of the observation that count as this one: itself, or its pods.
    pub(super) fn sources(&self) -> impl Iterator<Item = &'a str> {
        let all = self.changes.at(self.node).iter().map(|one| one.source.as_str());
        all.chain([self.node])
    }

    /// The last value of a series that hardly ever changes, at the node or its neighbours: a limit.
    fn limit(&self, quantity: Quantity) -> Option<f64> {
        let neighbours = self.graph.callees(self.node).chain(self.graph.callers(self.node));
        let all = [self.node].into_iter().chain(neighbours);
        let series = all.filter_map(|node| self.observation.nodes.get(node)).flatten();
        let limits =
            series.filter(|series| series.quantity == quantity).filter_map(|series| series.samples.last());
        limits.map(|(_, value)| *value).next()
    }

    pub(super) fn limit_of_connections(&self) -> Option<f64> {
        self.limit(Quantity::ConnectionLimit)
    }

    pub(super) fn concurrency_limit(&self) -> Option<f64> {
        self.limit(Quantity::ConcurrencyLimit)
    }

    pub(super) fn finding(
        &self,
        cause: Reason,
        strength: f64,
        evidence: &[Option<&Changed>],
        intervention: Intervention,
    ) -> Option<Finding> {
        let evidence = evidence.iter().flatten().map(|one| Number::from(*one)).collect();
        let strength = strength.clamp(0.0, 1.0);
        (strength > 0.0).then(|| Finding {
            node: self.node.to_owned(),
            cause,
            strength,
            evidence,
            intervention,
        })
    }
}

/// Growth of the holding time that is more than noise.
const HELD_LONGER: f64 = 1.2;

/// From 0 where a change is not noticed to 1 where it is certain.
pub(super) fn sure(one: &Changed) -> f64 {
    let growth = one.growth();
    if growth < NOTICED { 0.0 } else { (growth / CERTAIN).min(1.0) }
}

/// From 0 to 1 as a share of a limit goes from free to used up.
pub(super) fn near_limit(share: f64) -> f64 {
    ((share - FREE) / (USED_UP - FREE)).clamp(0.0, 1.0)
}

/// From 0 to 1 as a ratio to normal goes from one number to another.
pub(super) fn between(ratio: f64, from: f64, to: f64) -> f64 {
    ((ratio - from) / (to - from)).clamp(0.0, 1.0)
}
