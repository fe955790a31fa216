//! How long a verdict is expected to take, before a rollout begins and while it runs. Pure.
//!
//! Counts are replaced by their means, so this is about the median. It is a plan, no promise.

use super::attribution::FEWEST_PODS;
use super::counts::BadKind;
use super::eprocess::{Alternatives, EProcess, Starts, expected_requests};
use super::policy::CanaryPolicy;
use super::verdict;

/// Load and noise at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLoad {
    /// Requests a second of both revisions together.
    pub requests_per_second: f64,
    /// The canary's share of them, within (0, 1).
    pub weight: f64,
    /// Shares of bad requests of the stable revision, by [`BadKind::ALL`].
    pub bad_shares: [f64; BadKind::ALL.len()],
    /// φ, by [`BadKind::ALL`].
    pub phis: [f64; BadKind::ALL.len()],
}

/// Requests and bad ones of canary and stable in a second.
type Counts = ((f64, f64), (f64, f64));

impl StepLoad {
    fn counts(&self, kind: usize, ratio: f64) -> Counts {
        let canary = self.requests_per_second * self.weight;
        let stable = self.requests_per_second - canary;
        let share = self.bad_shares[kind];
        ((canary, canary * (share * ratio).min(1.0)), (stable, stable * share))
    }

    /// Seconds until this step is passed by a canary that is as good as the stable revision; none if never. Every kind
    /// must pass, by one proof or the other.
    #[must_use]
    pub fn seconds_to_promote(&self, policy: &CanaryPolicy) -> Option<f64> {
        let goal = policy.ln_promote_goal();
        let seconds = (0..BadKind::ALL.len()).map(|kind| {
            let phi = self.phis[kind];
            let (canary, stable) = self.counts(kind, 1.0);
            let better = EProcess::new(policy.excluded, Alternatives::better(), Starts::First, phi);
            let by_ratio = better.expected_slices(canary, stable, goal);
            let by_share = expected_requests(policy.largest_share[kind], self.bad_shares[kind], phi, goal)
                .map(|requests| requests / canary.0);
            by_ratio.into_iter().chain(by_share).min_by(f64::total_cmp).filter(|seconds| seconds.is_finite())
        });
        seconds.collect::<Option<Vec<f64>>>()?.into_iter().max_by(f64::total_cmp)
    }

    /// Seconds until a canary with `ratio` times the bad requests of one kind is aborted; none if never.
    #[must_use]
    pub fn seconds_to_abort(&self, policy: &CanaryPolicy, kind: BadKind, ratio: f64) -> Option<f64> {
        let at = BadKind::ALL.iter().position(|one| *one == kind)?;
        let (canary, stable) = self.counts(at, ratio);
        let starts = Starts::Every(policy.minute());
        let worse = EProcess::new(policy.tolerated, Alternatives::worse(), starts, self.phis[at]);
        let goal = policy.ln_abort_goal() + (BadKind::ALL.len() as f64).ln();
        worse.expected_slices(canary, stable, goal)
    }

    /// A sentence that says what to change if no verdict can be expected in some seconds. `ratio` is the regression in
    /// errors that is to be found.
    #[must_use]
    pub fn refusal(&self, policy: &CanaryPolicy, ratio: f64, seconds: f64) -> Option<String> {
        let in_time = |expected: &Option<f64>| expected.is_some_and(|expected| expected <= seconds);
        let words = |expected: Option<f64>| {
            expected.map_or("never".to_owned(), |expected| format!("in {:.0} s", expected.ceil()))
        };
        let promote = self.seconds_to_promote(policy);
        let abort = self.seconds_to_abort(policy, BadKind::Errors, ratio);
        // Without errors there is no ratio to find; an outage is still found by its first requests.
        let finds = in_time(&abort) || self.bad_shares[0] <= 0.0;
        if in_time(&promote) && finds {
            return None;
        }
        Some(format!(
            "With {} requests/s and a weight of {}% a good canary is expected to pass {}, and {ratio} times the errors to \
             be found {}, but the step lasts {seconds:.0} s: raise the weight or the time.",
            self.requests_per_second,
            100.0 * self.weight,
            words(promote),
            words(abort),
        ))
    }
}

/// A sentence if a canary has too few pods for a judgement that depends on pods.
#[must_use]
pub fn too_few_pods(pods: usize) -> Option<String> {
    (pods < FEWEST_PODS).then(|| verdict::too_few_pods(pods))
}
