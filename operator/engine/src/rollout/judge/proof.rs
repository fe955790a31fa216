//! The two proofs of a step: that the canary is worse, and that it is good enough. Pure.

use super::attribution::{self, Attribution, FEWEST_PODS};
use super::counts::{Arm, BadKind, Pair, Tally};
use super::eprocess::{Alternatives, EProcess, Starts, ln_below, ln_mean};
use super::policy::CanaryPolicy;

const KINDS: usize = BadKind::ALL.len();

/// φ by kind.
pub(super) type Phis = [f64; KINDS];

/// What is to be proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// The canary is worse than what is tolerated.
    Worse,
    /// The canary is better than what is excluded.
    Better,
}

/// The evidence for a direction, by kind.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    processes: [EProcess; KINDS],
}

impl Proof {
    pub(super) fn new(direction: Direction, policy: &CanaryPolicy, phis: &Phis) -> Self {
        let process = |phi: f64| match direction {
            Direction::Worse => {
                let starts = Starts::Every(policy.minute());
                EProcess::new(policy.tolerated, Alternatives::worse(), starts, phi)
            }
            Direction::Better => EProcess::new(policy.excluded, Alternatives::better(), Starts::First, phi),
        };
        Self { processes: phis.map(process) }
    }

    pub(super) fn of(
        direction: Direction,
        policy: &CanaryPolicy,
        phis: &Phis,
        pairs: &[Pair],
        left_out: Option<usize>,
    ) -> Self {
        let mut proof = Self::new(direction, policy, phis);
        pairs.iter().for_each(|pair| proof.push(pair, left_out));
        proof
    }

    pub(super) fn push(&mut self, pair: &Pair, left_out: Option<usize>) {
        // A pod is of one revision, so leaving it out of both is leaving it out of its own.
        let (canary, stable) = (pair.canary.without(left_out), pair.stable.without(left_out));
        for ((process, canary_bad), bad) in self.processes.iter_mut().zip(canary.bad).zip(stable.bad) {
            process.push((canary.requests, canary_bad), (stable.requests, bad));
        }
    }

    /// By kind.
    pub(super) fn ln(&self) -> [f64; KINDS] {
        self.processes.each_ref().map(EProcess::ln)
    }

    /// Over all kinds: for an abort any of them may be worse.
    pub(super) fn ln_any(&self) -> f64 {
        ln_mean(&self.ln())
    }
}

/// What evidence that reaches a goal rests on, for an abort.
pub(super) fn attribute(
    policy: &CanaryPolicy,
    phis: &Phis,
    pairs: &[Pair],
    ln_goal: f64,
    name: impl Fn(usize) -> String,
) -> Attribution {
    let pods = attribution::pods(pairs, true);
    if pods.len() < FEWEST_PODS {
        return Attribution::Weak(pods.len());
    }
    let without = |pod| Proof::of(Direction::Worse, policy, phis, pairs, Some(pod)).ln_any();
    attribution::on_one_pod(&pods, ln_goal, without)
        .map_or(Attribution::Spread, |pod| Attribution::OnePod(name(pod)))
}

/// Whether the canary is proven to be good enough in a kind of bad requests: compared with the stable revision, without
/// any single pod of it, or by its own share.
pub(super) fn is_good(
    policy: &CanaryPolicy,
    phis: &Phis,
    pairs: &[Pair],
    better: &Proof,
    kind: usize,
) -> bool {
    let goal = policy.ln_promote_goal();
    if ln_share(policy, phis, pairs, kind) >= goal {
        return true;
    }
    if better.ln()[kind] < goal {
        return false;
    }
    let pods = attribution::pods(pairs, false);
    let without = |pod| Proof::of(Direction::Better, policy, phis, pairs, Some(pod)).ln()[kind];
    pods.len() < FEWEST_PODS || attribution::on_one_pod(&pods, goal, without).is_none()
}

/// The logarithm of the evidence that the canary's own share is small enough.
pub(super) fn ln_share(policy: &CanaryPolicy, phis: &Phis, pairs: &[Pair], kind: usize) -> f64 {
    let canary = total(pairs.iter().map(|pair| &pair.canary));
    ln_below(policy.largest_share[kind], canary.requests, canary.bad[kind], phis[kind])
}

/// Everything in some slices.
pub(super) fn total<'a>(arms: impl Iterator<Item = &'a Arm>) -> Tally {
    let mut all = Tally::default();
    arms.for_each(|arm| all.add(&arm.all));
    all
}
