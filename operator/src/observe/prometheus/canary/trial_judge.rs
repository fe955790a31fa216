//! The judge of one rollout, fed with what Prometheus knows. Pure.
//!
//! It is a function of the counters at the ends of the slices, and of when the rollout and the step began. So a process that
//! reads them again after a restart has the same judge.

use super::counting::{SliceCounters, Uncounted};
use super::grid::SliceGrid;
use super::scrapes::{Scrapes, nanoseconds};
use crate::observe::trials::{CanaryTrial, in_seconds};
use jiff::Timestamp;
use scalableapp_engine::rollout::judge::Judge;
use scalableapp_engine::rollout::judge::calibration::Calibration;
use scalableapp_engine::rollout::judge::counts::RevisionCounts;
use scalableapp_engine::rollout::judge::policy::PolicyError;
use scalableapp_engine::rollout::judge::verdict::{Because, CanaryVerdict, Judgement};
use scalableapp_engine::rollout::memory::Trial;

/// Slices after which what was counted is too old for a verdict.
const FRESH: i64 = 3;
/// Slices that are read again while no pod was scraped: where the server is behind, they come later.
const AWAITED: i64 = 20;

/// Slices of a step after which it is a problem that none of the rollout was measured yet.
const YOUNG: i64 = 8;

/// What the judge says, and of which step.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedStep {
    /// Hash of the new revision.
    pub canary: String,
    /// Hash of the revision that it is compared with.
    pub stable: String,
    /// When the rollout began.
    pub begun: Timestamp,
    /// Index of the step, from 0 on.
    pub step: usize,
    /// When the step began; `None` while its pods are not available. There is no promotion then.
    pub step_begun: Option<Timestamp>,
    /// The judgement.
    pub judgement: Judgement,
}

/// The judge of one rollout.
#[derive(Clone, Debug)]
pub struct TrialJudge {
    grid: SliceGrid,
    trial: CanaryTrial,
    /// The next slice.
    next: i64,
    counters: SliceCounters,
    past: Vec<RevisionCounts>,
    judge: Option<Judge>,
    calibration: Option<Calibration>,
    /// Whether the judge has begun the step.
    has_begun_step: bool,
    /// The newest slice that was measured.
    newest: Option<i64>,
    uncounted: Option<Uncounted>,
}

impl TrialJudge {
    /// The judge of a rollout of which nothing was read yet.
    #[must_use]
    pub fn new(trial: &CanaryTrial, now: Timestamp) -> Self {
        let grid = SliceGrid::new(trial.begun, now, trial.policy.slice_seconds);
        Self {
            grid,
            trial: trial.clone(),
            next: grid.first() - 1,
            counters: SliceCounters::new(trial.slow_above.map(nanoseconds), grid.seconds()),
            past: Vec::new(),
            judge: None,
            calibration: None,
            has_begun_step: false,
            newest: None,
            uncounted: None,
        }
    }

    /// The same judge for a rollout that went on; a new one where it must read everything again.
    #[must_use]
    pub fn follow(mut self, trial: &CanaryTrial, now: Timestamp) -> Self {
        let is_same = self.trial.continues(trial)
            && self.grid == SliceGrid::new(trial.begun, now, trial.policy.slice_seconds);
        if is_same && self.trial == *trial {
            return self;
        }
        // Slices of this step that were taken for some of the one before.
        let is_late = trial.step_begun.is_some_and(|begun| self.begins_in(self.next - 1, begun));
        if !is_same || is_late || trial.step < self.trial.step {
            return Self::new(trial, now);
        }
        self.has_begun_step = false;
        self.trial = trial.clone();
        self
    }

    fn begins_in(&self, slice: i64, step_begun: Timestamp) -> bool {
        slice > 0 && self.grid.begin_of(slice) >= step_begun.as_second()
    }

    /// The slices.
    #[must_use]
    pub fn grid(&self) -> SliceGrid {
        self.grid
    }

    /// The first slice to read, and the number of those that are complete.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> (i64, u32) {
        let count = self.grid.newest(now) - self.next + 1;
        (self.next, u32::try_from(count).unwrap_or(0))
    }

    /// How the two halves of the stable pods compared; `None` before the slices of the rollout were read.
    #[must_use]
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// Judges the slices up to this one. `is_last` is whether there are no newer ones yet: then the last ones without a
    /// scrape are left for later.
    ///
    /// # Errors
    /// When the policy has a number out of its range.
    pub fn feed(&mut self, scrapes: &Scrapes, until: i64, is_last: bool) -> Result<(), PolicyError> {
        let newest = scrapes.iter().rev().find(|(_, scrape)| !scrape.pods.is_empty());
        let scraped = newest.map_or(i64::MIN, |(slice, _)| *slice).max(until - AWAITED);
        let until = if is_last { until.min(scraped) } else { until };
        let none = <_>::default();
        for slice in self.next..=until {
            let counts = self.counters.count(slice, scrapes.get(&slice).unwrap_or(&none));
            if slice <= 0 {
                self.past.extend(counts.ok().map(|counts| counts.stable));
                continue;
            }
            let step_begun = self.trial.step_begun;
            let begins_step =
                !self.has_begun_step && step_begun.is_some_and(|begun| self.begins_in(slice, begun));
            let judge = self.judge()?;
            if begins_step {
                judge.begin_step();
            }
            judge.observe(counts.as_ref().ok());
            self.has_begun_step |= begins_step;
            self.uncounted = counts.as_ref().err().copied();
            if counts.is_ok() {
                self.newest = Some(slice);
            }
        }
        self.next = self.next.max(until + 1);
        Ok(())
    }

    fn judge(&mut self) -> Result<&mut Judge, PolicyError> {
        match &mut self.judge {
            Some(judge) => Ok(judge),
            none => {
                let past = std::mem::take(&mut self.past);
                let calibration = Calibration::of(&self.trial.policy, &past);
                self.calibration = Some(calibration.clone());
                Ok(none.insert(Judge::new(self.trial.policy.clone(), calibration)?))
            }
        }
    }

    /// Whether nothing is measured yet because the rollout has just begun.
    fn is_young(&self) -> bool {
        let age = |begun: Timestamp| self.grid.end_of(self.next) - begun.as_second();
        let is_young = |begun| age(begun) <= YOUNG * self.grid.seconds();
        self.newest.is_none() && self.trial.step_begun.is_none_or(is_young)
    }

    /// What the judge says of the step; `None` before slices of the rollout were read, and before the first ones could be
    /// measured.
    #[must_use]
    pub fn judged(&self) -> Option<JudgedStep> {
        let judge = self.judge.as_ref().filter(|_| !self.is_young())?;
        let judgement = if self.has_begun_step {
            judge.judgement()
        } else {
            let mut judge = judge.clone();
            judge.begin_step();
            judge.judgement()
        };
        let judgement = match self.uncounted {
            Some(uncounted) => unmeasured(judgement, uncounted.sentence()),
            None => judgement,
        };
        let CanaryTrial { canary, stable, begun, step, step_begun, .. } = &self.trial;
        Some(JudgedStep {
            canary: canary.clone(),
            stable: stable.clone(),
            begun: *begun,
            step: *step,
            step_begun: *step_begun,
            judgement,
        })
    }

    /// When what was counted is too old for a verdict.
    #[must_use]
    pub fn fresh_until(&self) -> Timestamp {
        let Some(newest) = self.newest else { return Timestamp::MIN };
        let until = self.grid.end_of(newest) + FRESH * self.grid.seconds();
        Timestamp::from_second(until).unwrap_or(Timestamp::MIN)
    }
}

impl JudgedStep {
    /// Whether it is about this step of this rollout. What was judged before the pods of the step were available is about
    /// the same step, and promotes nothing.
    #[must_use]
    pub fn is_of(&self, trial: &Trial) -> bool {
        let step_begun = trial.step_begun.map(in_seconds);
        self.canary == trial.canary
            && self.stable == trial.stable
            && self.begun == in_seconds(trial.begun)
            && self.step == trial.step
            && (self.step_begun == step_begun || self.step_begun.is_none())
    }

    /// The same at a time at which nothing newer was counted, because of this problem.
    #[must_use]
    pub fn without_news(&self, problem: Option<&str>) -> Self {
        if problem.is_none() && self.judgement.because == Because::NotMeasured {
            return self.clone();
        }
        let sentence = match problem {
            Some(problem) => format!("The canary is not measured, so nothing is decided: {problem}."),
            None => "Prometheus has no new scrape of the canary and the stable revision: nothing is decided."
                .to_owned(),
        };
        Self { judgement: unmeasured(self.judgement.clone(), sentence), ..self.clone() }
    }
}

fn unmeasured(judgement: Judgement, sentence: String) -> Judgement {
    Judgement { verdict: CanaryVerdict::Hold, because: Because::NotMeasured, sentence, ..judgement }
}

impl Uncounted {
    fn sentence(self) -> String {
        let of = match self {
            Self::Stable => "Prometheus has no two scrapes in a row of any pod of the stable revision",
            Self::Canary => "Prometheus has no two scrapes in a row of any pod of the canary",
            Self::Buckets => "the pods have no common bucket of http_server_request_duration_seconds",
        };
        format!("The canary is not measured, so nothing is decided: {of}.")
    }
}

#[cfg(test)]
#[path = "trial_judge_tests.rs"]
mod tests;
