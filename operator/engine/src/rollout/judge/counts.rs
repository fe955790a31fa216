//! What is counted of the two revisions in a slice of time. Pure.

use crate::evidence::circuit::CircuitState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The requests of one pod in one slice of time. A request may be of several kinds; one without an answer, such as that
/// of a killed pod, is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodCounts {
    /// All requests.
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Requests above the latency threshold.
    pub slow: u64,
    /// Requests that a fallback answered, or a breaker cut short, without an error.
    pub masked: u64,
    /// Seconds since the pod became ready, at the begin of the slice.
    pub ready_seconds: u32,
}

/// What is counted of one revision in one slice of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevisionCounts {
    /// By the name of the pod.
    pub pods: BTreeMap<String, PodCounts>,
    /// By dependency: the state that most pods of the revision report of their circuit breakers.
    pub breakers: BTreeMap<String, CircuitState>,
}

/// A slice of time of both revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeSlice {
    /// The new revision.
    pub canary: RevisionCounts,
    /// The revision that it is compared with.
    pub stable: RevisionCounts,
}

/// A kind of bad request. Each is compared on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BadKind {
    /// Errors.
    Errors,
    /// Errors and masked failures together, so that a fallback hides nothing.
    Failures,
    /// Slow requests.
    Slow,
}

impl BadKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Errors, Self::Failures, Self::Slow];

    /// The bad requests of a pod, at most all of them.
    fn of(self, counts: &PodCounts) -> u64 {
        let bad = match self {
            Self::Errors => counts.errors,
            Self::Failures => counts.errors.saturating_add(counts.masked),
            Self::Slow => counts.slow,
        };
        bad.min(counts.requests)
    }

    /// Its value as a label of metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Failures => "failures",
            Self::Slow => "slow",
        }
    }

    /// The word for it in a sentence.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Failures => "errors and masked failures",
            Self::Slow => "slow requests",
        }
    }
}

/// Requests, and the bad ones by [`BadKind::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) requests: f64,
    pub(super) bad: [f64; BadKind::ALL.len()],
}

impl Tally {
    fn of(counts: &PodCounts) -> Self {
        Self { requests: counts.requests as f64, bad: BadKind::ALL.map(|kind| kind.of(counts) as f64) }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        for (bad, more) in self.bad.iter_mut().zip(other.bad) {
            *bad += more;
        }
    }
}

/// The pods of a revision that count in a slice, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Arm {
    pub(super) pods: Vec<(usize, Tally)>,
    pub(super) all: Tally,
}

impl Arm {
    pub(super) fn of(pods: impl Iterator<Item = (usize, Tally)>) -> Self {
        let mut arm = Self::default();
        for (pod, tally) in pods {
            arm.all.add(&tally);
            arm.pods.push((pod, tally));
        }
        arm
    }

    /// All pods but one.
    pub(super) fn without(&self, left_out: Option<usize>) -> Tally {
        let Some(left_out) = left_out else { return self.all };
        let mut all = Tally::default();
        self.pods.iter().filter(|(pod, _)| *pod != left_out).for_each(|(_, tally)| all.add(tally));
        all
    }
}

/// A slice in which both revisions count.
#[derive(Clone, Debug, Default)]
pub(super) struct Pair {
    pub(super) canary: Arm,
    pub(super) stable: Arm,
}

/// The numbers of pods in the order in which they were first seen.
#[derive(Clone, Debug, Default)]
pub(super) struct PodNumbers {
    numbers: BTreeMap<String, usize>,
}

impl PodNumbers {
    /// The pods with requests that have been ready for the warm-up.
    pub(super) fn arm(&mut self, revision: &RevisionCounts, warm_up_seconds: u32) -> Arm {
        let counted = |counts: &PodCounts| counts.requests > 0 && counts.ready_seconds >= warm_up_seconds;
        Arm::of(revision.pods.iter().filter(|(_, counts)| counted(counts)).map(|(name, counts)| {
            let number = self.numbers.get(name).copied().unwrap_or_else(|| {
                let number = self.numbers.len();
                self.numbers.insert(name.clone(), number);
                number
            });
            (number, Tally::of(counts))
        }))
    }

    pub(super) fn name(&self, number: usize) -> &str {
        self.numbers.iter().find(|(_, one)| **one == number).map_or("", |(name, _)| name)
    }
}
