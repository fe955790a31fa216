//! The synchronous calls between nodes. Pure.

use super::observation::Observation;
use std::collections::{BTreeMap, BTreeSet};

/// Who waits for whom.
#[derive(Default)]
pub(crate) struct Graph<'a> {
    callees: BTreeMap<&'a str, BTreeSet<&'a str>>,
    callers: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// Nodes that are told something by others.
    told: BTreeSet<&'a str>,
}

impl<'a> Graph<'a> {
    pub(crate) fn of(observation: &'a Observation) -> Self {
        let mut graph = Self::default();
        for call in observation.calls.iter().filter(|call| !call.is_async && call.caller != call.callee) {
            graph.callees.entry(&call.caller).or_default().insert(&call.callee);
            graph.callers.entry(&call.callee).or_default().insert(&call.caller);
        }
        let told = observation.calls.iter().filter(|call| call.is_async).map(|call| call.callee.as_str());
        graph.told = told.collect();
        graph
    }

    /// Whether anybody waits for a node: not where it only works on what it was told.
    pub(crate) fn is_waited(&self, node: &str) -> bool {
        self.callers.contains_key(node) || !self.told.contains(node)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.callees.is_empty()
    }

    /// The name of a node, if it calls or is called.
    pub(crate) fn name(&self, node: &str) -> Option<&'a str> {
        let found = self.callees.get_key_value(node).or_else(|| self.callers.get_key_value(node));
        found.map(|(name, _)| *name)
    }

    pub(crate) fn callees(&self, node: &str) -> impl Iterator<Item = &'a str> {
        self.callees.get(node).into_iter().flatten().copied()
    }

    pub(crate) fn callers(&self, node: &str) -> impl Iterator<Item = &'a str> {
        self.callers.get(node).into_iter().flatten().copied()
    }

    /// The next nodes below one for which something is known: nodes without it are passed through.
    pub(crate) fn known_below(&self, node: &str, is_known: impl Fn(&str) -> bool) -> BTreeSet<&'a str> {
        let (mut found, mut passed) = (BTreeSet::new(), BTreeSet::new());
        let mut open: Vec<&str> = self.callees(node).collect();
        while let Some(next) = open.pop() {
            if next == node || !passed.insert(next) {
                continue;
            }
            if is_known(next) {
                found.insert(next);
            } else {
                open.extend(self.callees(next));
            }
        }
        found
    }
}
