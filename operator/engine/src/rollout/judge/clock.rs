//! Which slices count: circuit breakers may stop the clock. Pure.
//!
//! | breakers for a dependency | the slice | promotion |
//! |---|---|---|
//! | closed in both, or not known | counts | allowed |
//! | open or half-open in both | is left out, until both are closed: a shared brownout | no |
//! | only in the stable revision | is left out: no canary is good because the other one is ill | no |
//! | only in the canary | counts once the stable revision stayed closed for a minute more | no |
//!
//! The delay in the last row is there because the breakers of a shared brownout do not open at the same time: each
//! needs a minimum of calls.

use super::counts::{Pair, RevisionCounts, TimeSlice};
use crate::evidence::circuit::CircuitState;
use std::collections::{BTreeSet, VecDeque};

/// What the breakers say of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreakerPhase {
    /// Nothing.
    Closed,
    /// A dependency degraded for both revisions.
    Shared(String),
    /// Open or half-open in the stable revision alone.
    StableAlone(String),
    /// Open or half-open in the canary alone, which is evidence.
    CanaryAlone(String),
}

/// Decides which slices count, and when.
#[derive(Clone, Debug)]
pub(super) struct BreakerClock {
    settle: usize,
    shared: BTreeSet<String>,
    waiting: VecDeque<Pair>,
    pub(super) phase: BreakerPhase,
}

fn is_open(revision: &RevisionCounts, dependency: &str) -> bool {
    let state = revision.breakers.get(dependency);
    matches!(state, Some(CircuitState::Open | CircuitState::HalfOpen))
}

impl BreakerClock {
    /// `settle` is a minute in slices.
    pub(super) fn new(settle: usize) -> Self {
        let (shared, waiting) = Default::default();
        Self { settle, shared, waiting, phase: BreakerPhase::Closed }
    }

    fn observe(&mut self, slice: &TimeSlice) {
        let names: BTreeSet<&String> =
            slice.canary.breakers.keys().chain(slice.stable.breakers.keys()).chain(&self.shared).collect();
        let (mut shared, mut stable, mut canary) = (BTreeSet::new(), None, None);
        for name in names {
            match (is_open(&slice.canary, name), is_open(&slice.stable, name)) {
                (false, false) => {}
                (in_canary, in_stable) if in_canary && in_stable || self.shared.contains(name) => {
                    shared.insert(name.clone());
                }
                (false, _) => stable = Some(name.clone()),
                (true, _) => canary = Some(name.clone()),
            }
        }
        let first = shared.first().cloned().map(BreakerPhase::Shared);
        let alone = stable.map(BreakerPhase::StableAlone).or(canary.map(BreakerPhase::CanaryAlone));
        self.phase = first.or(alone).unwrap_or(BreakerPhase::Closed);
        self.shared = shared;
    }

    /// The slices that count now: none, or those that waited, with this one.
    pub(super) fn admit(&mut self, slice: &TimeSlice, pair: Pair) -> Vec<Pair> {
        self.observe(slice);
        match self.phase {
            BreakerPhase::Shared(_) | BreakerPhase::StableAlone(_) => {
                self.waiting.clear();
                Vec::new()
            }
            BreakerPhase::CanaryAlone(_) => {
                self.waiting.push_back(pair);
                let settled = self.waiting.len().saturating_sub(self.settle);
                self.waiting.drain(..settled).collect()
            }
            BreakerPhase::Closed => self.waiting.drain(..).chain([pair]).collect(),
        }
    }
}
