//! Whether evidence stands without any single pod. Pure.
//!
//! One sick pod is to be evicted; it is no reason to abort its revision. So the evidence is computed again without each
//! pod. If k pods are alike, those that are left carry (k − 1) / k of the logarithm of the evidence on average; that is
//! what is asked of them (ADR 52). The bound of
//! the error is that of all pods together: this can only withhold a verdict.

use super::counts::Pair;
use std::collections::BTreeSet;

/// With fewer pods than this nothing tells a sick pod from a bad version.
pub const FEWEST_PODS: usize = 3;

/// What the evidence rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribution {
    /// On several pods: it stands without any single one.
    Spread,
    /// On this pod: without it there is too little.
    OnePod(String),
    /// There are too few pods to tell. Their number.
    Weak(usize),
}

/// The pods of one revision in some slices.
pub(super) fn pods(pairs: &[Pair], is_canary: bool) -> BTreeSet<usize> {
    let arms = pairs.iter().map(|pair| if is_canary { &pair.canary } else { &pair.stable });
    arms.flat_map(|arm| arm.pods.iter().map(|(pod, _)| *pod)).collect()
}

/// The pod without which evidence that reaches `ln_goal` does not stand, if there is one.
pub(super) fn on_one_pod(
    pods: &BTreeSet<usize>,
    ln_goal: f64,
    ln_without: impl Fn(usize) -> f64,
) -> Option<usize> {
    let goal = ln_goal * (pods.len() as f64 - 1.0) / pods.len() as f64;
    let least =
        pods.iter().map(|pod| (*pod, ln_without(*pod))).min_by(|one, other| one.1.total_cmp(&other.1));
    least.filter(|(_, ln)| *ln < goal).map(|(pod, _)| pod)
}
