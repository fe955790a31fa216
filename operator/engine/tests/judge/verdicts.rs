//! Promote, abort, hold, and why.

use crate::service::{counts, judge, random, revision, slice};
use fastrand::Rng;
use scalableapp_engine::evidence::circuit::CircuitState;
use scalableapp_engine::rollout::judge::Judge;
use scalableapp_engine::rollout::judge::attribution::Attribution;
use scalableapp_engine::rollout::judge::calibration::Calibration;
use scalableapp_engine::rollout::judge::counts::{BadKind, PodCounts, RevisionCounts, TimeSlice};
use scalableapp_engine::rollout::judge::eprocess::{Alternatives, EProcess, Starts};
use scalableapp_engine::rollout::judge::expectation::{StepLoad, too_few_pods};
use scalableapp_engine::rollout::judge::policy::CanaryPolicy;
use scalableapp_engine::rollout::judge::verdict::{Because, CanaryVerdict, Judgement};

/// Observes the same slice again and again.
fn observe(judge: &mut Judge, slice: &TimeSlice, times: usize) -> Judgement {
    (0..times).for_each(|_| judge.observe(Some(slice)));
    judge.judgement()
}

#[test]
fn a_version_that_is_worse_on_all_pods_is_aborted() {
    let mut judge = judge(CanaryPolicy::default());
    let judgement = observe(&mut judge, &slice(counts(100, 5), counts(400, 2)), 4);
    assert_eq!(judgement.verdict, CanaryVerdict::Abort);
    assert_eq!(judgement.attribution, Some(Attribution::Spread));
    assert_eq!(
        judgement.sentence,
        "The canary is worse in errors: canary 5.00% (60 of 1200), stable 0.50% (80 of 16000)."
    );
}

#[test]
fn one_sick_pod_is_named_and_does_not_abort_its_revision() {
    let mut judge = judge(CanaryPolicy::default());
    let mut sick = slice(counts(100, 0), counts(400, 2));
    sick.canary.pods.insert("canary-1".into(), counts(100, 40));
    let judgement = observe(&mut judge, &sick, 12);
    assert_eq!(
        (judgement.verdict, judgement.because),
        (CanaryVerdict::Hold, Because::OnePod("canary-1".into()))
    );
    assert!(judgement.ln_worse > 100.0_f64.ln());

    // Without it the step goes on, and the others are judged.
    let mut evicted = slice(counts(100, 0), counts(400, 2));
    evicted.canary.pods.remove("canary-1");
    judge.begin_step();
    assert_eq!(observe(&mut judge, &evicted, 30).verdict, CanaryVerdict::Promote);
    let mut worse = slice(counts(100, 10), counts(400, 2));
    worse.canary.pods.remove("canary-1");
    assert_eq!(observe(&mut judge, &worse, 60).verdict, CanaryVerdict::Abort);
}

#[test]
fn a_single_pod_is_judged_and_the_attribution_called_weak() {
    let mut judge = judge(CanaryPolicy::default());
    let canary = revision("canary", 1, counts(100, 10));
    let slice = TimeSlice { canary, stable: revision("stable", 10, counts(400, 2)) };
    let judgement = observe(&mut judge, &slice, 12);
    assert_eq!(judgement.attribution, Some(Attribution::Weak(1)));
    let words = "too few (1) to tell a bad version from a sick pod: run at least 3.";
    assert!(judgement.sentence.ends_with(words), "{}", judgement.sentence);
    assert_eq!(too_few_pods(3), None);
    assert!(too_few_pods(2).unwrap().ends_with("run at least 3."));
}

#[test]
fn a_service_without_errors_passes_each_step_after_three_hundred_requests() {
    let policy = CanaryPolicy::default();
    let past = vec![revision("stable", 10, counts(100, 0)); 240];
    let mut judge = Judge::new(policy.clone(), Calibration::of(&policy, &past)).unwrap();
    for _ in 0..3 {
        judge.begin_step();
        let ninety_nine = slice(counts(99, 0), counts(100, 0));
        assert_eq!(observe(&mut judge, &ninety_nine, 1).verdict, CanaryVerdict::Hold);
        let judgement = observe(&mut judge, &slice(counts(1, 0), counts(100, 0)), 1);
        assert_eq!(judgement.verdict, CanaryVerdict::Promote, "{judgement:?}");
    }
}

#[test]
fn a_late_regression_is_not_hidden_by_what_was_good_before() {
    let mut judge = judge(CanaryPolicy::default());
    let mut rng = Rng::with_seed(7);
    let mut slice = |share| TimeSlice {
        canary: random(&mut rng, "canary", 3, 50, share),
        stable: random(&mut rng, "stable", 10, 50, 0.005),
    };
    for _ in 0..120 {
        judge.observe(Some(&slice(0.005)));
        assert_ne!(judge.judgement().verdict, CanaryVerdict::Abort);
    }
    let late = (0..40).position(|_| {
        judge.observe(Some(&slice(0.025)));
        judge.judgement().verdict == CanaryVerdict::Abort
    });
    assert!(late.is_some());
}

#[test]
fn masked_failures_and_slow_requests_are_bad_requests() {
    for (kind, counts_of) in [
        (BadKind::Failures, PodCounts { masked: 10, ..counts(200, 1) }),
        (BadKind::Slow, PodCounts { slow: 20, ..counts(200, 1) }),
    ] {
        let mut judge = judge(CanaryPolicy::default());
        let judgement = observe(&mut judge, &slice(counts_of, counts(200, 1)), 8);
        assert_eq!((judgement.verdict, judgement.because), (CanaryVerdict::Abort, Because::Worse(kind)));
    }
}

fn with_breakers(mut slice: TimeSlice, canary: CircuitState, stable: CircuitState) -> TimeSlice {
    slice.canary.breakers.insert("payments".into(), canary);
    slice.stable.breakers.insert("payments".into(), stable);
    slice
}

#[test]
fn a_shared_brownout_holds_with_the_clock_stopped() {
    use CircuitState::{Closed, HalfOpen, Open};
    let mut judge = judge(CanaryPolicy::default());
    observe(&mut judge, &slice(counts(100, 0), counts(100, 0)), 2);
    let hidden = PodCounts { masked: 90, ..counts(100, 0) };
    // The canary's breaker opens first, by less than a minute, and closes last.
    for (canary, stable, shows_stable) in
        [(Open, Closed, counts(100, 1)), (Open, Open, hidden), (HalfOpen, Closed, counts(100, 1))]
    {
        let slice = with_breakers(slice(hidden, shows_stable), canary, stable);
        let judgement = observe(&mut judge, &slice, 3);
        assert_eq!((judgement.verdict, judgement.slices), (CanaryVerdict::Hold, 2), "{judgement:?}");
    }
    let closed = with_breakers(slice(counts(100, 0), counts(100, 0)), Closed, Closed);
    assert_eq!(observe(&mut judge, &closed, 1).slices, 3);
    let only_stable = with_breakers(slice(counts(100, 0), hidden), Closed, Open);
    let judgement = observe(&mut judge, &only_stable, 40);
    assert_eq!(judgement.because, Because::StableDegraded("payments".into()));
    let judgement = observe(&mut judge, &closed, 1);
    assert_eq!(judgement.slices, 4);
    assert!(judgement.ln_worse < 1.0, "{judgement:?}");
}

#[test]
fn a_breaker_that_stays_open_in_the_canary_alone_is_evidence() {
    let mut judge = judge(CanaryPolicy::default());
    let hidden = PodCounts { masked: 90, ..counts(100, 0) };
    let open = with_breakers(slice(hidden, counts(100, 0)), CircuitState::Open, CircuitState::Closed);
    let judgement = observe(&mut judge, &open, 4);
    assert_eq!(
        (judgement.verdict, judgement.because),
        (CanaryVerdict::Hold, Because::BreakerOpen("payments".into()))
    );
    assert_eq!(observe(&mut judge, &open, 1).verdict, CanaryVerdict::Abort);
}

#[test]
fn warm_up_and_silence_are_no_evidence() {
    let mut judge = judge(CanaryPolicy::default());
    let cold = PodCounts { ready_seconds: 59, slow: 90, ..counts(100, 50) };
    let judgement = observe(&mut judge, &slice(cold, counts(400, 2)), 20);
    let too_little = Because::TooLittleEvidence(BadKind::Errors);
    assert_eq!((judgement.verdict, judgement.because), (CanaryVerdict::Hold, too_little));
    assert_eq!(judgement.kinds[0].canary.requests, 0.0);
    let judgement = observe(&mut judge, &slice(counts(0, 0), counts(400, 2)), 20);
    assert_eq!((judgement.verdict, judgement.because), (CanaryVerdict::Hold, Because::NoRequests));
    judge.observe(None);
    assert_eq!(judge.judgement().because, Because::NotMeasured);
}

#[test]
fn pods_that_differ_for_long_widen_phi_and_it_is_said() {
    let policy = CanaryPolicy::default();
    let mut rng = Rng::with_seed(3);
    // Six of ten pods have four times the errors, for two hours.
    let past: Vec<RevisionCounts> = (0..480)
        .map(|_| {
            let mut all = random(&mut rng, "pod", 10, 100, 0.005);
            let sick = random(&mut rng, "pod", 10, 100, 0.02);
            let is_sick = |name: &str| ["0", "1", "4", "5", "8", "9"].iter().any(|one| name.ends_with(one));
            all.pods.extend(sick.pods.into_iter().filter(|(name, _)| is_sick(name)));
            all
        })
        .collect();
    let calibration = Calibration::of(&policy, &past);
    assert!(calibration.aborts > 0 && calibration.widening > 1.0, "{calibration:?}");
    assert!(calibration.sentence().contains("were told apart in"), "{}", calibration.sentence());

    let equal: Vec<RevisionCounts> = (0..480).map(|_| random(&mut rng, "good", 10, 100, 0.005)).collect();
    let calibration = Calibration::of(&policy, &equal);
    assert_eq!((calibration.aborts, calibration.widening), (0, 1.0));
    assert!(calibration.sentence().starts_with("No two halves"));
    assert!(Calibration::default().sentence().starts_with("There is no past"));
}

const LOAD: StepLoad =
    StepLoad { requests_per_second: 100.0, weight: 0.1, bad_shares: [0.005, 0.005, 0.01], phis: [1.0; 3] };

#[test]
fn the_expected_time_is_that_of_expected_counts() {
    let policy = CanaryPolicy::default();
    let seconds = LOAD.seconds_to_abort(&policy, BadKind::Errors, 5.0).unwrap();
    let mut judge = judge(policy);
    // A slice of these counts is a minute at this load.
    let slice = slice(counts(200, 5), counts(540, 3));
    let needed = (1..50).find(|_| {
        judge.observe(Some(&slice));
        judge.judgement().verdict == CanaryVerdict::Abort
    });
    let needed = f64::from(needed.unwrap()) * 60.0;
    assert!((needed / 2.0..needed * 1.5).contains(&seconds), "{seconds} s, but it took {needed} s");
}

#[test]
fn a_step_that_can_never_be_decided_is_refused_in_words() {
    let policy = CanaryPolicy::default();
    assert_eq!(LOAD.refusal(&policy, 5.0, 600.0), None);
    let thin = StepLoad { requests_per_second: 1.0, weight: 0.05, ..LOAD };
    let refusal = thin.refusal(&policy, 2.0, 600.0).unwrap();
    assert!(
        refusal.starts_with("With 1 requests/s and a weight of 5% a good canary is expected to pass in ")
    );
    assert!(refusal.ends_with("but the step lasts 600 s: raise the weight or the time."), "{refusal}");
    let idle = StepLoad { requests_per_second: 0.0, ..LOAD };
    assert!(idle.refusal(&policy, 2.0, 600.0).unwrap().contains("expected to pass never"));
    // Noise that comes together takes as many times longer.
    let bursts = StepLoad { phis: [10.0; 3], ..LOAD };
    let ratio = bursts.seconds_to_promote(&policy).unwrap() / LOAD.seconds_to_promote(&policy).unwrap();
    assert!((ratio - 10.0).abs() < 1e-9);
}

#[test]
fn a_policy_out_of_its_range_is_refused() {
    for (policy, words) in [
        (CanaryPolicy { false_abort: 0.0, ..CanaryPolicy::default() }, "false_abort is 0"),
        (CanaryPolicy { false_promote: f64::NAN, ..CanaryPolicy::default() }, "false_promote is NaN"),
        (CanaryPolicy { tolerated: 0.5, ..CanaryPolicy::default() }, "tolerated is 0.5"),
        (
            CanaryPolicy { excluded: 1.0, ..CanaryPolicy::default() },
            "excluded is 1, but must be above tolerated",
        ),
        (CanaryPolicy { largest_share: [1.0; 3], ..CanaryPolicy::default() }, "largest_share is 1"),
        (CanaryPolicy { slice_seconds: 0, ..CanaryPolicy::default() }, "slice_seconds is 0"),
    ] {
        let error = Judge::new(policy, Calibration::default()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("failed to read the policy: {words}")), "{error}");
    }
}

/// Twice φ takes twice the evidence, whatever was seen.
#[test]
fn phi_divides_the_logarithm_of_the_evidence() {
    let ln = |phi| {
        let mut process = EProcess::new(1.0, Alternatives::of(&[(5.0, 1.0)]), Starts::First, phi);
        process.push((100.0, 10.0), (900.0, 9.0));
        process.ln()
    };
    assert!((ln(1.0) - 2.0 * ln(2.0)).abs() < 1e-12);
}
