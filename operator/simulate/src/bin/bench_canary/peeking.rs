//! Two equal revisions, looked at more or less often: how often they are told apart. Pure.

use crate::course;
use crate::course::Scenario;
use crate::traffic::{Clustering, Health, Pods, STABLE_PODS};
use fastrand::Rng;
use scalableapp_engine::rollout::judge::counts::TimeSlice;
use scalableapp_engine::rollout::judge::policy::{CanaryPolicy, PolicyError};
use scalableapp_engine::rollout::judge::verdict::CanaryVerdict;

/// Numbers of looks, evenly spread over [`SLICES`].
pub(crate) const LOOKS: [usize; 5] = [1, 5, 10, 20, 50];
/// The nominal probability of both.
pub(crate) const NOMINAL: f64 = 0.05;
/// Two-sided 5 % of the normal distribution.
const Z: f64 = 1.959_964;
const SLICES: usize = 200;
const RATE: f64 = 100.0;

/// For each number of looks, whether a look found a difference: the z-test of two shares, and the judge.
pub(crate) fn found(rng: &mut Rng) -> Result<[(bool, bool); LOOKS.len()], PolicyError> {
    let scenario = Scenario::healthy(RATE, Clustering::Independent);
    let policy = CanaryPolicy { false_abort: NOMINAL, ..CanaryPolicy::default() };
    let mut arms = [Pods::new("a", STABLE_PODS / 2), Pods::new("b", STABLE_PODS / 2)];
    let mut judge = course::judge(&policy, &scenario, &mut Pods::new("b", STABLE_PODS), rng)?;
    let mut found = [(false, false); LOOKS.len()];
    let mut sums = [(0.0, 0.0); 2];
    for slice in 1..=SLICES {
        let health = Health::of(scenario.errors, 1.0);
        let [canary, stable] =
            arms.each_mut().map(|arm| arm.slice(rng, RATE / 2.0, scenario.clustering, health));
        for (sum, revision) in sums.iter_mut().zip([&canary, &stable]) {
            for pod in revision.pods.values() {
                *sum = (sum.0 + pod.errors as f64, sum.1 + pod.requests as f64);
            }
        }
        judge.observe(Some(&TimeSlice { canary, stable }));
        let verdict = judge.judgement().verdict;
        for (one, looks) in found.iter_mut().zip(LOOKS) {
            if slice.is_multiple_of(SLICES / looks) {
                one.0 |= z(sums).abs() > Z;
                one.1 |= verdict == CanaryVerdict::Abort;
            }
        }
    }
    Ok(found)
}

fn z([(one_bad, one), (other_bad, other)]: [(f64, f64); 2]) -> f64 {
    let pooled = (one_bad + other_bad) / (one + other);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / one + 1.0 / other)).sqrt();
    if deviation > 0.0 { (one_bad / one - other_bad / other) / deviation } else { 0.0 }
}
