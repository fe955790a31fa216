//! The verdict at a place: its cause, none, or two that are too close. Pure.

use super::Case;
use super::causes::findings;
use super::changes::NOTICED;
use super::place::Place;
use super::quantity::Quantity;
use super::verdict::{Diagnosis, Finding, Number, Verdict};
use crate::reason::{self, Reason};

/// A cause weaker than this is none.
pub(super) const WEAKEST: f64 = 0.3;
/// Candidates closer than this share of the first are too close.
const CLOSE: f64 = 0.1;

/// What would tell a cause from another one, where it is not measured.
const DECIDING: [(Reason, Quantity, &str); 7] = [
    (reason::POOL_TOO_SMALL, Quantity::PoolInUse, "the connections in use of the pool of"),
    (reason::DATABASE_SLOW, Quantity::QueryTime, "the time of queries of"),
    (reason::CONNECTIONS_EXHAUSTED, Quantity::PoolWait, "the time that callers wait for a connection of"),
    (reason::MEMORY_SATURATED, Quantity::OutOfMemory, "the containers killed for lack of memory at"),
    (reason::CPU_SATURATED, Quantity::CpuThrottling, "the throttled share of CPU periods of"),
    (reason::EXTERNAL_LATENCY, Quantity::ClientLatency, "the latency of each call of"),
    (reason::QUEUEING, Quantity::QueueTime, "the time that requests wait for their turn at"),
];

impl Case<'_> {
    pub(super) fn judge(&self, place: &Place) -> Diagnosis {
        let first = place.ranking.first().map_or("", String::as_str);
        let found = findings(&self.facts(first));
        // Where no symptom is seen, time that passes elsewhere is none either; a resource may still be short.
        let is_likely = |one: &&Finding| place.is_seen || one.cause != reason::EXTERNAL_LATENCY;
        let best = found.iter().find(is_likely).filter(|one| one.strength >= WEAKEST);
        let rival = best.and_then(|best| found.iter().find(|one| one.intervention != best.intervention));
        let margin = match (best, rival) {
            (Some(best), Some(rival)) => 1.0 - rival.strength / best.strength,
            _ => 1.0,
        };
        let is_told = self.observation.told || self.observation.symptom.is_some();
        let verdict = match (best, rival, place.ranking.get(1)) {
            _ if place.is_behind.is_some() => {
                self.behind(first, place.is_behind.as_deref().unwrap_or_default())
            }
            (_, _, Some(second)) if place.margin < CLOSE && !is_told => self.two_nodes(first, second),
            (Some(best), Some(rival), _) if margin < CLOSE => self.two_causes(best, rival),
            (Some(best), ..) => Verdict::Cause(best.clone()),
            _ => self.without_cause(first),
        };
        let mut ranking = place.ranking.clone();
        if let Verdict::Cause(finding) = &verdict {
            // The pool of a caller, the database of a service: the cause names the node itself.
            ranking.retain(|node| *node != finding.node);
            ranking.insert(0, finding.node.clone());
        }
        Diagnosis { verdict, ranking, confidence: margin.min(place.margin) }
    }

    /// Latency and failures of a node that grew.
    fn symptoms(&self, node: &str) -> Vec<Number> {
        let all = [Quantity::Latency, Quantity::Failures].into_iter();
        all.filter_map(|quantity| self.changes.most(node, quantity)).map(Number::from).collect()
    }

    /// No resource grew. Where a node is slow or repeats its calls, and has a callee that nobody measures, neither it nor the
    /// node, that may be slow.
    fn without_cause(&self, node: &str) -> Verdict {
        let measures = |node: &str, is_so: fn(Quantity) -> bool| {
            self.observation.nodes.get(node).into_iter().flatten().any(|series| is_so(series.quantity))
        };
        let is_timed = measures(node, |quantity| quantity == Quantity::ClientLatency);
        let is_measured = |callee: &str| measures(callee, |quantity| quantity != Quantity::CircuitOpen);
        let waits = [Quantity::Latency, Quantity::Retries]
            .iter()
            .any(|quantity| self.changes.agreed(node, *quantity) >= NOTICED);
        let may_be_slow = |callee: &&str| waits && !is_timed && !is_measured(callee);
        let Some(callee) = self.graph.callees(node).find(may_be_slow) else {
            return Verdict::NotAScalingProblem { node: node.to_owned(), evidence: self.symptoms(node) };
        };
        Verdict::Unknown {
            candidates: [
                (node.to_owned(), reason::NOT_A_SCALING_PROBLEM),
                (callee.to_owned(), reason::EXTERNAL_LATENCY),
            ],
            deciding: format!("the latency of the calls of {node} to {callee}"),
        }
    }

    fn behind(&self, first: &str, caller: &str) -> Verdict {
        let candidate = |node: &str| (node.to_owned(), reason::EXTERNAL_LATENCY);
        Verdict::Unknown {
            candidates: [candidate(first), candidate(caller)],
            deciding: format!("the calls of {caller}, with the latency of each"),
        }
    }

    fn two_nodes(&self, first: &str, second: &str) -> Verdict {
        let candidate = |node: &str| {
            let found = findings(&self.facts(node));
            let strongest = found.first().filter(|one| one.strength >= WEAKEST);
            (node.to_owned(), strongest.map_or(reason::NOT_A_SCALING_PROBLEM, |one| one.cause))
        };
        let deciding = if self.graph.is_empty() {
            format!("the calls between {first} and {second}")
        } else {
            format!("the share of requests of {first} and {second} that the slow ones need")
        };
        Verdict::Unknown { candidates: [candidate(first), candidate(second)], deciding }
    }

    fn two_causes(&self, best: &Finding, rival: &Finding) -> Verdict {
        let lacks = |node: &str, quantity| self.changes.all(node, quantity).next().is_none();
        let missing = [best, rival].into_iter().flat_map(|one| {
            DECIDING
                .iter()
                .filter(|(cause, quantity, _)| *cause == one.cause && lacks(&one.node, *quantity))
                .map(|(_, _, words)| format!("{words} {}", one.node))
        });
        let deciding = missing.into_iter().next();
        Verdict::Unknown {
            candidates: [best, rival].map(|one| (one.node.clone(), one.cause)),
            deciding: deciding.unwrap_or_else(|| format!("a profile of {} during the incident", best.node)),
        }
    }
}
