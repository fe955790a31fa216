//! What holds for all counts.

use crate::service::{judge, random};
use fastrand::Rng;
use proptest::prelude::*;
use scalableapp_engine::evidence::circuit::CircuitState;
use scalableapp_engine::rollout::judge::Judge;
use scalableapp_engine::rollout::judge::calibration::Calibration;
use scalableapp_engine::rollout::judge::counts::{PodCounts, RevisionCounts, TimeSlice};
use scalableapp_engine::rollout::judge::policy::CanaryPolicy;
use scalableapp_engine::rollout::judge::verdict::CanaryVerdict;

/// Two halves of ten pods of one version, looked at at random: at most α of the rollouts are ever aborted. The bound
/// allows for three standard deviations of 400 rollouts.
#[test]
fn equal_revisions_are_aborted_at_most_as_often_as_asked() {
    let (rollouts, alpha) = (400, 0.05);
    let mut aborted = 0;
    for seed in 0..rollouts {
        let mut rng = Rng::with_seed(seed);
        let policy = CanaryPolicy { false_abort: alpha, ..CanaryPolicy::default() };
        let mut judge = Judge::new(policy, Calibration::default()).unwrap();
        let looks = rng.f64();
        let is_aborted = (0..60).any(|_| {
            let canary = random(&mut rng, "a", 5, 40, 0.02);
            let stable = random(&mut rng, "b", 5, 40, 0.02);
            judge.observe(Some(&TimeSlice { canary, stable }));
            rng.f64() < looks && judge.judgement().verdict == CanaryVerdict::Abort
        });
        aborted += u32::from(is_aborted);
    }
    let share = f64::from(aborted) / rollouts as f64;
    assert!(share <= alpha + 3.0 * (alpha * (1.0 - alpha) / rollouts as f64).sqrt(), "{share}");
}

/// The bound of the test before is one that a judge which may be looked at once does not keep.
#[test]
fn evidence_that_is_looked_at_again_and_again_would_break_a_fixed_bound() {
    let mut found = 0;
    for seed in 0..400 {
        let mut rng = Rng::with_seed(seed);
        let (mut a, mut b) = (0.0_f64, 0.0_f64);
        let is_found = (0..60).any(|_| {
            a += (0..200).filter(|_| rng.f64() < 0.02).count() as f64;
            b += (0..200).filter(|_| rng.f64() < 0.02).count() as f64;
            a > b && (a - b) / (a + b).sqrt() > 1.645
        });
        found += u32::from(is_found);
    }
    assert!(found > 60, "{found}");
}

fn a_count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0_u64..3, 0_u64..1000, 0..=(1_u64 << 53), Just(1 << 53)]
}

fn a_pod() -> impl Strategy<Value = PodCounts> {
    let counts = (a_count(), a_count(), a_count(), a_count(), 0_u32..200);
    counts.prop_map(|(requests, errors, slow, masked, ready_seconds)| PodCounts {
        requests,
        errors,
        slow,
        masked,
        ready_seconds,
    })
}

fn a_revision(name: &'static str) -> impl Strategy<Value = RevisionCounts> {
    let state = prop_oneof![
        8 => Just(CircuitState::Closed),
        1 => Just(CircuitState::Open),
        1 => Just(CircuitState::HalfOpen),
        1 => Just(CircuitState::Implausible),
    ];
    (prop::collection::vec(a_pod(), 0..5), prop::option::of(state)).prop_map(move |(pods, state)| {
        let pods = pods.into_iter().enumerate().map(|(at, pod)| (format!("{name}-{at}"), pod));
        let breakers = state.into_iter().map(|state| ("payments".to_owned(), state));
        RevisionCounts { pods: pods.collect(), breakers: breakers.collect() }
    })
}

fn slices() -> impl Strategy<Value = Vec<Option<TimeSlice>>> {
    let slice = (a_revision("canary"), a_revision("stable"));
    let slice = slice.prop_map(|(canary, stable)| TimeSlice { canary, stable });
    prop::collection::vec(prop::option::weighted(0.9, slice), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn all_counts_give_finite_numbers_and_the_same_verdict_again(slices in slices(), new_step in 0_usize..12) {
        let judged = |is_asked: bool| {
            let policy = CanaryPolicy::default();
            let past = slices.iter().flatten().map(|slice| &slice.stable);
            let mut judge = Judge::new(policy.clone(), Calibration::of(&policy, past)).unwrap();
            for (at, slice) in slices.iter().enumerate() {
                if at == new_step {
                    judge.begin_step();
                }
                judge.observe(slice.as_ref());
                if is_asked {
                    let _ = judge.judgement();
                }
            }
            judge.judgement()
        };
        let judgement = judged(false);
        prop_assert!(judgement.ln_worse.is_finite());
        prop_assert!(judgement.expected_seconds.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0));
        for kind in &judgement.kinds {
            let numbers = [kind.phi, kind.ln_worse, kind.ln_better, kind.ln_share, kind.canary.bad, kind.stable.bad];
            prop_assert!(numbers.iter().all(|number| number.is_finite()), "{kind:?}");
            prop_assert!(kind.phi >= 1.0 && kind.canary.bad <= kind.canary.requests);
        }
        prop_assert_eq!(judgement, judged(true));
    }
}

/// A step is never passed and a canary never aborted on what was not measured.
#[test]
fn nothing_is_decided_on_nothing() {
    let mut judge = judge(CanaryPolicy::default());
    assert_eq!(judge.judgement().verdict, CanaryVerdict::Hold);
    for _ in 0..1000 {
        judge.observe(None);
        assert_eq!(judge.judgement().verdict, CanaryVerdict::Hold);
    }
    judge.observe(Some(&TimeSlice::default()));
    assert_eq!(judge.judgement().verdict, CanaryVerdict::Hold);
}
