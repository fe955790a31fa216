//! The judge of a canary: promote, abort, or hold. Pure.
//!
//! It compares the canary with the stable revision, slice of time after slice of time, in three kinds of bad requests
//! ([`BadKind`]). Whatever it looks at was counted; nothing is a rate or an average.
//!
//! | file | content |
//! |---|---|
//! | [`counts`] | requests by revision, pod and slice |
//! | [`policy`] | what is to be proven, with which errors |
//! | [`clock`] | slices that do not count because of circuit breakers |
//! | [`eprocess`] | evidence that may be looked at at any time |
//! | `dispersion` | φ: how much bad requests come together |
//! | [`calibration`] | the judge on two halves of the stable pods |
//! | `proof` | worse, or good enough |
//! | [`attribution`] | whether evidence stands without any single pod |
//! | [`verdict`] | numbers and words |
//! | [`expectation`] | how long a verdict takes |
//!
//! # Example
//!
//! ```
//! use scalableapp_engine::rollout::judge::Judge;
//! use scalableapp_engine::rollout::judge::calibration::Calibration;
//! use scalableapp_engine::rollout::judge::counts::{PodCounts, RevisionCounts, TimeSlice};
//! use scalableapp_engine::rollout::judge::policy::CanaryPolicy;
//! use scalableapp_engine::rollout::judge::verdict::CanaryVerdict;
//!
//! let revision = |errors| {
//!     let counts = PodCounts { requests: 500, errors, ready_seconds: 600, ..PodCounts::default() };
//!     let pods = ["a", "b", "c"].map(|pod| (format!("{pod}{errors}"), counts));
//!     RevisionCounts { pods: pods.into(), ..RevisionCounts::default() }
//! };
//! let policy = CanaryPolicy::default();
//! let past = Calibration::of(&policy, &vec![revision(1); 240]);
//! let mut judge = Judge::new(policy, past)?;
//! let slice = TimeSlice { canary: revision(6), stable: revision(1) };
//! judge.observe(Some(&slice));
//! judge.observe(Some(&slice));
//! let judgement = judge.judgement();
//! assert_eq!(judgement.verdict, CanaryVerdict::Abort);
//! assert_eq!(
//!     judgement.sentence,
//!     "The canary is worse in errors: canary 1.20% (36 of 3000), stable 0.20% (6 of 3000)."
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attribution;
pub mod calibration;
pub mod clock;
pub mod counts;
mod dispersion;
pub mod eprocess;
pub mod expectation;
pub mod policy;
mod proof;
pub mod verdict;

use attribution::Attribution;
use calibration::Calibration;
use clock::{BreakerClock, BreakerPhase};
use counts::{BadKind, Pair, PodNumbers, Tally, TimeSlice};
use dispersion::Dispersion;
use expectation::StepLoad;
use policy::{CanaryPolicy, PolicyError};
use proof::{Direction, Phis, Proof};
use verdict::{BadOf, Because, CanaryVerdict, Judgement, KindEvidence};

/// The judge of one rollout. The same slices give the same judgement, so after a restart it is fed again.
#[derive(Clone, Debug)]
pub struct Judge {
    policy: CanaryPolicy,
    past: Calibration,
    pods: PodNumbers,
    clock: BreakerClock,
    stable: Dispersion,
    pairs: Vec<Pair>,
    /// The number of slices before the step.
    before: usize,
    phis: Phis,
    worse: Proof,
    better: Proof,
    is_measured: bool,
    /// Slices since the canary had a request.
    silent: u32,
}

impl Judge {
    /// A judge at the begin of a rollout.
    ///
    /// # Errors
    ///
    /// The policy has a number out of its range.
    pub fn new(policy: CanaryPolicy, past: Calibration) -> Result<Self, PolicyError> {
        policy.check()?;
        let stable = Dispersion::default();
        let phis = rounded(&calibration::phis(&past, &stable));
        Ok(Self {
            clock: BreakerClock::new(policy.minute() as usize),
            worse: Proof::new(Direction::Worse, &policy, &phis),
            better: Proof::new(Direction::Better, &policy, &phis),
            pods: PodNumbers::default(),
            pairs: Vec::new(),
            before: 0,
            is_measured: true,
            silent: 0,
            policy,
            past,
            stable,
            phis,
        })
    }

    /// Begins a step. A new weight is a new load, so what is good must be proven again. What is worse stays.
    pub fn begin_step(&mut self) {
        self.before = self.pairs.len();
        self.better = Proof::new(Direction::Better, &self.policy, &self.phis);
    }

    /// Adds a slice, or none if it was not measured. The clock stands still then.
    pub fn observe(&mut self, slice: Option<&TimeSlice>) {
        self.is_measured = slice.is_some();
        let Some(slice) = slice else { return };
        let warm_up = self.policy.warm_up_seconds;
        let pair = Pair {
            canary: self.pods.arm(&slice.canary, warm_up),
            stable: self.pods.arm(&slice.stable, warm_up),
        };
        // Pods in their warm-up have requests, too.
        let is_silent = slice.canary.pods.values().all(|counts| counts.requests == 0);
        self.silent = if is_silent { self.silent.saturating_add(1) } else { 0 };
        for pair in self.clock.admit(slice, pair) {
            self.stable.push(&pair.stable);
            self.worse.push(&pair, None);
            self.better.push(&pair, None);
            self.pairs.push(pair);
        }
        let phis = rounded(&calibration::phis(&self.past, &self.stable));
        if phis != self.phis {
            self.phis = phis;
            self.worse = Proof::of(Direction::Worse, &self.policy, &phis, &self.pairs, None);
            self.better = Proof::of(Direction::Better, &self.policy, &phis, self.step(), None);
        }
    }

    /// The slices of this step.
    fn step(&self) -> &[Pair] {
        self.pairs.get(self.before..).unwrap_or_default()
    }

    /// The verdict on what was observed. Asking for it changes nothing, so it may be asked at any time.
    #[must_use]
    pub fn judgement(&self) -> Judgement {
        let (canary, stable) = (
            proof::total(self.step().iter().map(|pair| &pair.canary)),
            proof::total(self.step().iter().map(|pair| &pair.stable)),
        );
        let kinds = self.kinds(&canary, &stable);
        let ln_worse = self.worse.ln_any();
        let attribution = self.attribution(ln_worse);
        let expected_seconds = self.expected_seconds(&canary, &stable);
        let (verdict, because) = self.verdict(&kinds, ln_worse, attribution.as_ref());
        Judgement {
            sentence: verdict::sentence(&because, &kinds, attribution.as_ref(), expected_seconds),
            verdict,
            because,
            kinds,
            ln_worse,
            attribution,
            slices: self.step().len(),
            expected_seconds,
        }
    }

    fn kinds(&self, canary: &Tally, stable: &Tally) -> Vec<KindEvidence> {
        let (worse, better) = (self.worse.ln(), self.better.ln());
        let phis = calibration::phis(&self.past, &self.stable);
        let of = |tally: &Tally, at: usize| BadOf { bad: tally.bad[at], requests: tally.requests };
        let kinds = BadKind::ALL.into_iter().enumerate().map(|(at, kind)| KindEvidence {
            kind,
            canary: of(canary, at),
            stable: of(stable, at),
            phi: self.phis[at],
            phi_slices: phis[at].1,
            ln_worse: worse[at],
            ln_better: better[at],
            ln_share: proof::ln_share(&self.policy, &self.phis, self.step(), at),
            is_good: proof::is_good(&self.policy, &self.phis, self.step(), &self.better, at),
        });
        kinds.collect()
    }

    /// What evidence rests on that is at least half way, on a logarithmic scale, to an abort.
    fn attribution(&self, ln_worse: f64) -> Option<Attribution> {
        let goal = self.policy.ln_abort_goal();
        let goal = if ln_worse >= goal { goal } else { goal / 2.0 };
        let name = |pod| self.pods.name(pod).to_owned();
        (ln_worse >= goal).then(|| proof::attribute(&self.policy, &self.phis, &self.pairs, goal, name))
    }

    fn verdict(
        &self,
        kinds: &[KindEvidence],
        ln_worse: f64,
        attribution: Option<&Attribution>,
    ) -> (CanaryVerdict, Because) {
        let hold = |because| (CanaryVerdict::Hold, because);
        // Of equal ones the first: without masked failures the errors alone are meant.
        let worst = kinds.iter().rev().max_by(|one, other| one.ln_worse.total_cmp(&other.ln_worse));
        let worst = worst.map_or(BadKind::Errors, |one| one.kind);
        if !self.is_measured {
            return hold(Because::NotMeasured);
        }
        match &self.clock.phase {
            BreakerPhase::Shared(name) => return hold(Because::DependencyDegraded(name.clone())),
            BreakerPhase::StableAlone(name) => return hold(Because::StableDegraded(name.clone())),
            BreakerPhase::CanaryAlone(_) | BreakerPhase::Closed => {}
        }
        match attribution {
            Some(Attribution::OnePod(pod)) if self.is_serving(pod) => {
                return hold(Because::OnePod(pod.clone()));
            }
            Some(Attribution::OnePod(_)) | None => {}
            Some(_) if ln_worse >= self.policy.ln_abort_goal() => {
                return (CanaryVerdict::Abort, Because::Worse(worst));
            }
            Some(_) => return hold(Because::Contested(worst)),
        }
        if let BreakerPhase::CanaryAlone(name) = &self.clock.phase {
            return hold(Because::BreakerOpen(name.clone()));
        }
        if self.silent >= self.policy.minute() {
            return hold(Because::NoRequests);
        }
        match kinds.iter().find(|one| !one.is_good) {
            Some(one) => hold(Because::TooLittleEvidence(one.kind)),
            None => (CanaryVerdict::Promote, Because::GoodEnough),
        }
    }

    /// Whether a pod had requests in the last slice.
    fn is_serving(&self, pod: &str) -> bool {
        let last = self.pairs.last().map(|pair| &pair.canary.pods);
        last.is_some_and(|pods| pods.iter().any(|(number, _)| self.pods.name(*number) == pod))
    }

    /// Seconds from now on until this step is passed at the load of the step so far.
    fn expected_seconds(&self, canary: &Tally, stable: &Tally) -> Option<f64> {
        let seconds = self.step().len() as f64 * f64::from(self.policy.slice_seconds);
        let requests = canary.requests + stable.requests;
        if canary.requests <= 0.0 || stable.requests <= 0.0 {
            return None;
        }
        let load = StepLoad {
            requests_per_second: requests / seconds,
            weight: canary.requests / requests,
            bad_shares: stable.bad.map(|bad| bad / stable.requests),
            phis: self.phis,
        };
        load.seconds_to_promote(&self.policy).map(|expected| (expected - seconds).max(0.0))
    }
}

/// φ in steps of 5 %, rounded up, so that evidence is seldom computed anew.
fn rounded(phis: &[(f64, u32); BadKind::ALL.len()]) -> Phis {
    phis.map(|(phi, _)| 1.05_f64.powf((phi.ln() / 1.05_f64.ln() - 1e-9).ceil().max(0.0)))
}
