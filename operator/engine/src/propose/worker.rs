//! How many pods a backlog asks for. Pure.
//!
//! Jobs arrive, and those that wait should be started within `drain_within`. By Little's law, that rate times the
//! duration of a job is the number of jobs that run at the same time, of which a pod runs `concurrency`:
//!
//! pods = ⌈(arrivals + waiting / `drain_within`) × seconds per job / (`concurrency` × [`UTILIZATION`])⌉
//!
//! HPA's tolerance applies around the current replicas. At least one pod is asked for while there are jobs, and none
//! where none arrives, waits or runs.
//!
//! The age of the oldest job guards against what the formula does not know. While it is above `oldest_within`, nothing
//! scales in, and more pods are asked for in proportion to the age, at most twice as many. Like any growth without a
//! known effect, this is one step for each effect that is seen ([`crate::propose::throughput`]).
//!
//! Until a job has ended, its duration is unknown, and so it is where nobody measures it. The age alone then asks for more than the first pod: it is the one
//! measurement that needs no duration, and doubling is also what HPA's default policies allow.

use crate::app::subject::Subject;
use crate::evidence::backlog::{BacklogReading, judge_backlog};
use crate::hpa::signal::Proposal;
use crate::propose::evaluate::Invalid;
use crate::propose::metric::{Backlog, decimal, thousandths};
use crate::propose::throughput::{Growth, GrowthMemory, WorkerPool};

/// The share of its concurrency that a pod should use. At full use the queue would grow with every random burst.
const UTILIZATION: f64 = 0.8;

/// The most that the age of the oldest job multiplies the current replicas by, at once.
const LARGEST_FACTOR: f64 = 2.0;

/// The proposal of a backlog.
#[derive(Clone, Debug)]
pub(crate) struct BacklogProposal {
    pub(crate) proposal: Proposal,
    /// Whether the last growth of the pool did not raise its throughput.
    pub(crate) is_stalled: bool,
    reading: BacklogReading,
    concurrency: i32,
    basis: Basis,
}

/// What a proposal is based on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Basis {
    /// There is no job.
    Idle,
    /// The formula, with the seconds per job.
    Formula(f64),
    /// The age of the oldest job.
    Age,
    /// The age of the oldest job, which keeps the current replicas until the last growth is judged.
    AgeObserved,
    /// The duration of a job is not known: none has ended yet, or nobody measures it.
    DurationUnknown,
}

/// Reads and judges a backlog, and computes its proposal.
pub(crate) fn on_backlog(
    subject: &Subject<'_>,
    metric: &str,
    target: &Backlog,
    memory: &mut GrowthMemory,
) -> Result<BacklogProposal, Invalid> {
    let reading = subject.backlog(metric);
    let reading = judge_backlog(reading.as_deref(), subject.now, subject.max_age())?;
    let current = subject.current_replicas;
    let growth = memory.observe(&WorkerPool {
        now: subject.now,
        pods: &subject.pods,
        current_replicas: current,
        concurrency: target.concurrency,
        throughput: reading.finished_per_second,
        has_jobs: reading.waiting > 0.0 || reading.has_running(),
        seconds_per_job: reading.seconds_per_job,
    });
    let seconds = memory.seconds_per_job(growth);
    let (by_formula, basis) = by_formula(subject, target, reading, seconds);
    let by_age = by_age(target, reading, current).filter(|_| basis != Basis::Idle);
    let (replicas, basis) = match (by_age, growth) {
        (Some(_), Growth::Observed) if by_formula <= current => (current, Basis::AgeObserved),
        (Some(by_age), Growth::Free | Growth::Stopped) if by_age > by_formula => (by_age, Basis::Age),
        _ => (by_formula, basis),
    };
    let (unlimited, _) = self::by_formula(subject, target, reading, memory.seconds_per_job(Growth::Free));
    let has_gone = by_age.is_none() && reading.waiting <= reading.running.unwrap_or_default();
    if has_gone && unlimited <= current {
        memory.end();
    }
    let ratio = needed(target, reading, seconds.unwrap_or(f64::NAN)) / f64::from(current);
    let usage = thousandths(reading.waiting);
    Ok(BacklogProposal {
        proposal: Proposal { replicas, ratio, usage, utilization: None, assumed: None },
        is_stalled: growth == Growth::Stopped && replicas > current,
        reading: *reading,
        concurrency: target.concurrency,
        basis,
    })
}

fn by_formula(
    subject: &Subject<'_>,
    target: &Backlog,
    reading: &BacklogReading,
    seconds_per_job: Option<f64>,
) -> (i32, Basis) {
    match seconds_per_job {
        _ if reading.is_idle() => (0, Basis::Idle),
        Some(seconds) => (rounded(subject, needed(target, reading, seconds)), Basis::Formula(seconds)),
        None => (subject.current_replicas.max(1), Basis::DurationUnknown),
    }
}

/// Pods for the arrivals and the backlog, not rounded.
fn needed(target: &Backlog, reading: &BacklogReading, seconds_per_job: f64) -> f64 {
    let rate = reading.arrivals_per_second + reading.waiting / target.drain_within.as_secs_f64().max(1.0);
    rate * seconds_per_job / (f64::from(target.concurrency.max(1)) * UTILIZATION)
}

/// Whole pods, at least one; the current ones within HPA's tolerance.
fn rounded(subject: &Subject<'_>, needed: f64) -> i32 {
    let current = subject.current_replicas;
    if current > 0 && subject.declared.behavior.tolerance().admits(needed / f64::from(current)) {
        return current;
    }
    // In thousandths, as HPA counts: a float is seldom exactly whole. The conversion saturates.
    let whole = ((needed * 1000.0).round() / 1000.0).ceil() as i32;
    whole.max(1)
}

/// More than the current pods, where the oldest job is too old.
fn by_age(target: &Backlog, reading: &BacklogReading, current: i32) -> Option<i32> {
    let within = target.oldest_within?.as_secs_f64();
    let factor = (reading.oldest_seconds / within).min(LARGEST_FACTOR);
    let grown = (f64::from(current) * factor).ceil() as i32;
    (reading.oldest_seconds > within).then(|| grown.max(current.saturating_add(1)))
}

impl BacklogProposal {
    /// The measurement in words.
    pub(crate) fn value(&self) -> String {
        let BacklogReading { waiting, oldest_seconds, .. } = self.reading;
        let stalled = if self.is_stalled { "; throughput does not rise with pods" } else { "" };
        format!("{} waiting, oldest {}s{stalled}", shown(waiting.round()), shown(oldest_seconds.round()))
    }

    /// Why it asks for that many pods, in words.
    pub(crate) fn why(&self) -> String {
        let BacklogReading { waiting, oldest_seconds, arrivals_per_second, .. } = self.reading;
        let (waiting, oldest) = (shown(waiting.round()), shown(oldest_seconds.round()));
        match self.basis {
            Basis::Idle => "no job arrives, waits or runs".to_owned(),
            Basis::Formula(seconds) => format!(
                "{}/s arrive, {waiting} wait, {} s a job, {} at a time in each pod",
                shown(arrivals_per_second),
                shown(seconds),
                self.concurrency
            ),
            Basis::Age => format!("its oldest job is {oldest}s old"),
            Basis::AgeObserved => {
                format!("its oldest job is {oldest}s old, the effect of the last growth is not known yet")
            }
            Basis::DurationUnknown => format!("{waiting} wait, and the duration of a job is not known yet"),
        }
    }
}

fn shown(value: f64) -> String {
    decimal(thousandths(value))
}
