//! Runs of a contender over a workload, and the search for its cheapest setting that meets the objective. Pure.

use std::ops::Range;

use fastrand::Rng;
use scalableapp_simulate::setting::{Contender, Setting};
use scalableapp_simulate::workload::{LEAD_IN, Workload};
use scalableapp_simulate::{Outcome, Replay, replay_while};

use crate::search::{near, random};

/// Violation minutes up to which the curves are compared.
pub(crate) const MOST_VIOLATIONS: usize = 8;

/// Random settings for each contender and workload.
pub(crate) const RANDOM: usize = 120;
/// Settings close to one of the best so far, tried after those.
pub(crate) const LOCAL: usize = 240;
/// Number of best settings whose neighborhood is searched, so that one lucky setting does not end the search.
const BEST: usize = 5;
/// Violation minutes of the training part after which a run is aborted: its setting will not be chosen, nor be near a
/// curve.
pub(crate) const GIVEN_UP: usize = 3 * MOST_VIOLATIONS;

/// The cost and the violations of a part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Score {
    pub(crate) violations: usize,
    pub(crate) replica_hours: f64,
}

/// One run over a whole workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TuningRun {
    pub(crate) setting: Setting,
    pub(crate) train: Score,
    pub(crate) test: Score,
    /// Started pods.
    pub(crate) started: u32,
}

/// The runs of a contender over a workload, without aborted ones.
pub(crate) struct Tuned {
    pub(crate) contender: Contender,
    pub(crate) runs: Vec<TuningRun>,
    /// The run with the cheapest setting that meets the objective in every minute of the training part.
    pub(crate) chosen: Option<TuningRun>,
}

/// Tries settings and chooses one by the training part alone.
pub(crate) fn tune(contender: Contender, workload: &Workload, start: f64, seed: u64) -> Tuned {
    let mut rng = Rng::with_seed(seed);
    let mut runs: Vec<TuningRun> = Vec::with_capacity(RANDOM + LOCAL);
    for round in 0..RANDOM + LOCAL {
        let best = if round < RANDOM { Vec::new() } else { cheapest(&runs) };
        let setting = if best.is_empty() {
            random(&mut rng)
        } else {
            near(best[rng.usize(..best.len())].setting, &mut rng)
        };
        runs.extend(run(contender, setting, workload, start));
    }
    let chosen = cheapest(&runs).first().map(|run| **run);
    Tuned { contender, runs, chosen }
}

/// The settings that meet the objective in every minute of the training part at the lowest cost, the cheapest first.
fn cheapest(runs: &[TuningRun]) -> Vec<&TuningRun> {
    let mut meets: Vec<&TuningRun> = runs.iter().filter(|run| run.train.violations == 0).collect();
    meets.sort_by(|one, other| one.train.replica_hours.total_cmp(&other.train.replica_hours));
    meets.truncate(BEST);
    meets
}

/// The first minute of the test part.
fn split(workload: &Workload) -> usize {
    let lead_in = LEAD_IN / 60;
    lead_in + (workload.seconds() / 60 - lead_in) / 2
}

/// Runs a contender over the whole workload, unless the run is aborted.
fn run(contender: Contender, setting: Setting, workload: &Workload, start: f64) -> Option<TuningRun> {
    let replay = Replay { workload, contender, setting, start };
    let training = LEAD_IN / 60..split(workload);
    let mut violations = 0;
    let outcome = replay_while(&replay, |index, minute| {
        violations += usize::from(training.contains(&index) && minute.violates());
        violations <= GIVEN_UP
    })?;
    Some(TuningRun {
        setting,
        test: score(&outcome, training.end..workload.seconds() / 60),
        train: score(&outcome, training),
        started: outcome.started,
    })
}

fn score(outcome: &Outcome, minutes: Range<usize>) -> Score {
    Score { violations: outcome.violations(minutes.clone()), replica_hours: outcome.replica_hours(minutes) }
}

impl Tuned {
    /// The trade-off on the test part: for each number of violation minutes the lowest replica-hours of all settings.
    /// Only settings that are better than every one with fewer violations.
    pub(crate) fn curve(&self) -> Vec<Score> {
        let mut scores: Vec<Score> = self.runs.iter().map(|run| run.test).collect();
        scores.sort_by(|one, other| {
            one.violations.cmp(&other.violations).then(one.replica_hours.total_cmp(&other.replica_hours))
        });
        let mut curve: Vec<Score> = Vec::new();
        for score in scores {
            if curve.last().is_none_or(|last| score.replica_hours < last.replica_hours) {
                if curve.last().is_some_and(|last| last.violations == score.violations) {
                    continue;
                }
                curve.push(score);
            }
        }
        curve
    }

    /// The lowest replica-hours of the test part with at most this many violation minutes.
    pub(crate) fn hours_within(&self, violations: usize) -> Option<f64> {
        let within = self.runs.iter().filter(|run| run.test.violations <= violations);
        within.map(|run| run.test.replica_hours).min_by(f64::total_cmp)
    }
}
