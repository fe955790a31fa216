//! Where the cause is: by the calls, or by what is strange where calls are not known. Pure.

use super::Case;
use super::causes::findings;
use super::changes::NOTICED;
use super::gate::Alarm;
use super::judge::WEAKEST;
use super::quantity::Quantity;
use super::rank::{rank, waits};
use super::walk::{EXPLAINS, excess_of, walk};
use crate::reason;

/// Share of another node's growth from which a node is as plainly slow.
const PLAINLY: f64 = 0.5;

/// Ordinary differences above normal from which a node is strange by itself.
const STRANGE: f64 = 2.0 * NOTICED;

/// Where the cause is.
pub(super) struct Place {
    /// Nodes, the likeliest first.
    pub(super) ranking: Vec<String>,
    /// How far the first node is from the second, from 0 to 1.
    pub(super) margin: f64,
    /// A node that waits for its calls, where no measured node explains that.
    pub(super) is_behind: Option<String>,
    /// Whether the symptom is seen, or named.
    pub(super) is_seen: bool,
}

impl Case<'_> {
    pub(super) fn place(&self, alarm: Alarm) -> Place {
        let is_called = alarm.is_seen && self.graph.name(&alarm.node).is_some();
        if is_called { self.by_calls(alarm) } else { self.by_rank(&alarm) }
    }

    fn by_calls(&self, mut alarm: Alarm) -> Place {
        if self.observation.symptom.is_none() {
            alarm.node = self.top(&alarm);
        }
        let walk = walk(&alarm, self.changes, self.graph);
        if walk.path.len() == 1 && self.changes.agreed(&alarm.node, alarm.quantity) < NOTICED {
            // The symptom is told and hardly measured: what is plainly strange elsewhere says more.
            let place = self.by_rank(&Alarm { is_seen: false, ..alarm.clone() });
            if place.ranking.first().is_some_and(|first| self.changes.symptom(first).0 >= STRANGE) {
                return place;
            }
        }
        let end = walk.path.last().cloned().unwrap_or_else(|| alarm.node.clone());
        let end = self.below(&end, alarm.quantity).unwrap_or(end);
        let second = walk.second.as_ref();
        let order = |node: &str| {
            let is_second = second.is_some_and(|(one, _)| one == node);
            (!is_second, -self.unexplained(node, alarm.quantity))
        };
        let ranked = rank(self.changes, |node| self.facts(node)).into_iter().map(|one| one.node);
        let mut rest: Vec<((bool, f64), String)> =
            ranked.filter(|node| *node != end).map(|node| (order(&node), node)).collect();
        // A stable sort: of equal excess the stranger node stays first.
        rest.sort_by(|(a, _), (b, _)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let ranking = [end].into_iter().chain(rest.into_iter().map(|(_, node)| node)).collect();
        Place {
            ranking,
            margin: 1.0 - second.map_or(0.0, |(_, share)| *share),
            is_behind: None,
            is_seen: alarm.is_seen,
        }
    }

    /// The node from which a walk begins where nobody named it: the users' own, else the topmost caller that shows the
    /// symptom too.
    fn top(&self, alarm: &Alarm) -> String {
        let shows = |node: &str| self.changes.agreed(node, alarm.quantity) >= NOTICED;
        if let Some(entry) = self.observation.entry.as_ref().filter(|entry| shows(entry)) {
            return entry.clone();
        }
        let excess = |node: &str| excess_of(node, alarm.quantity, self.changes, self.graph);
        let mut path = vec![alarm.node.as_str()];
        while let Some(node) = path.last() {
            let callers = self.graph.callers(node).filter(|caller| shows(caller) && !path.contains(caller));
            let Some(caller) = callers.max_by(|a, b| excess(a).total_cmp(&excess(b))) else { break };
            path.push(caller);
        }
        path.last().map_or_else(|| alarm.node.clone(), |node| (*node).to_owned())
    }

    /// A callee of which the symptom is not measured, and whose resource is a stronger cause: a database.
    fn below(&self, end: &str, quantity: Quantity) -> Option<String> {
        let strength = |node: &str| findings(&self.facts(node)).first().map_or(0.0, |one| one.strength);
        let callees =
            self.graph.callees(end).filter(|callee| self.changes.all(callee, quantity).next().is_none());
        let (strongest, callee) =
            callees.map(|callee| (strength(callee), callee)).max_by(|a, b| a.0.total_cmp(&b.0))?;
        (strongest >= WEAKEST && strongest > strength(end)).then(|| callee.to_owned())
    }

    /// The excess of a node that its callees do not explain.
    fn unexplained(&self, node: &str, quantity: Quantity) -> f64 {
        let excess = |node: &str| excess_of(node, quantity, self.changes, self.graph).max(0.0);
        excess(node) - self.graph.callees(node).map(excess).sum::<f64>()
    }

    fn by_rank(&self, alarm: &Alarm) -> Place {
        let mut ranked = rank(self.changes, |node| self.facts(node));
        ranked.sort_by_key(|one| !self.graph.is_waited(&one.node));
        let score = |index: usize| ranked.get(index).map_or(0.0, |one| one.score);
        let margin = if score(0) > 0.0 { (1.0 - score(1) / score(0)).clamp(0.0, 1.0) } else { 0.0 };
        let first = ranked.first().map_or("", |one| one.node.as_str());
        let growth = |node: &str| self.changes.symptom(node).0;
        let waiting = self.changes.nodes().filter(|node| waits(self.changes, node));
        let slowest = waiting.max_by(|a, b| growth(a).total_cmp(&growth(b)));
        let felt = Some(alarm.node.as_str()).filter(|node| *node != first);
        let unexplained = [slowest, felt].into_iter().flatten().find(|node| !self.explains(first, node));
        let is_behind = unexplained.filter(|_| alarm.is_seen).map(str::to_owned);
        let mut ranking: Vec<String> = ranked.into_iter().map(|one| one.node).collect();
        if is_behind.is_some() {
            // Those that wait are not what they wait for.
            ranking.sort_by_key(|node| waits(self.changes, node));
        }
        Place { ranking, margin, is_behind, is_seen: alarm.is_seen }
    }

    /// Whether a node explains that another one waits: a resource of it is short, or it is slow by itself, as plainly
    /// as the other, and with a large enough share of its excess.
    fn explains(&self, node: &str, waiting: &str) -> bool {
        let excess = |node: &str| excess_of(node, Quantity::Latency, self.changes, self.graph);
        let growth = |node: &str| self.changes.agreed(node, Quantity::Latency);
        let is_slow = growth(node) >= NOTICED.max(PLAINLY * growth(waiting)) && !waits(self.changes, node);
        let found = findings(&self.facts(node));
        (is_slow && excess(node) >= EXPLAINS * excess(waiting))
            || found.iter().any(|one| one.strength >= WEAKEST && one.cause != reason::EXTERNAL_LATENCY)
    }
}
