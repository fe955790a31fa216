//! The evidence of canaries. I/O: range queries to Prometheus.
//!
//! Each component with a rollout in progress has a judge, which is fed with the slices of time that are complete. The first
//! reading begins an hour before the rollout, later ones have the new slices. Queries and judges run in their own tasks: no
//! tick waits for them. A failed reading takes nothing away, and is repeated with the slices that it missed. What was
//! counted too long ago gives no verdict.

pub mod counting;
pub mod grid;
pub mod queries;
pub mod scrapes;
pub mod trial_judge;

use self::grid::SliceGrid;
use self::queries::CanaryQueries;
use self::scrapes::{CanaryAnswers, scrapes};
use self::trial_judge::{JudgedStep, TrialJudge};
use super::backoff::{self, Backoff};
use super::client::{Prometheus, QueryError};
use super::promql::Refusal;
use super::signals::selection::Selection;
use crate::observe::trials::{CanaryTrial, CanaryTrials};
use crate::resolve::app::ComponentKey;
use crate::runtime::{clock, metrics};
use jiff::Timestamp;
use scalableapp_engine::rollout::judge::policy::PolicyError;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{AbortHandle, Id, JoinSet, spawn_blocking};
use tokio::time::Instant;

/// Slices of one query. Of 100 pods with 15 buckets they are about 4 MiB.
const CHUNK: u32 = 120;
/// Readings at the same time.
const READINGS: usize = 8;
/// Readings of one namespace at the same time.
const OF_NAMESPACE: usize = 4;

/// What the judges say, by component.
pub type JudgedSteps = BTreeMap<ComponentKey, JudgedStep>;

/// Reads the evidence of the canaries in progress, and judges it.
pub struct Canaries {
    prometheus: Prometheus,
    selection: Selection,
    slice_seconds: u32,
    entries: BTreeMap<ComponentKey, CanaryWatch>,
    running: JoinSet<CanaryTurn>,
    /// The component of each running task.
    tasks: HashMap<Id, ComponentKey>,
    judged: Arc<JudgedSteps>,
}

/// A canary in progress.
struct CanaryWatch {
    trial: CanaryTrial,
    /// `None` while a task has it.
    judge: Option<Box<TrialJudge>>,
    /// The task that has it. It ends with the canary.
    task: Option<AbortHandle>,
    rests_until: Instant,
    backoff: Backoff,
    problem: Option<String>,
    judged: Option<JudgedStep>,
    fresh_until: Timestamp,
}

/// The end of a task.
struct CanaryTurn {
    /// `None` if it ended early.
    judge: Option<Box<TrialJudge>>,
    judged: Option<JudgedStep>,
    outcome: Result<(), UnreadCanary>,
}

/// Why a canary was not judged.
#[derive(Debug, thiserror::Error)]
enum UnreadCanary {
    #[error(transparent)]
    Failed(#[from] QueryError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("the judge ended early")]
    Ended,
}

impl Canaries {
    /// No canary is in progress yet. A slice has this many seconds.
    #[must_use]
    pub fn new(prometheus: Prometheus, selection: Selection, slice_seconds: u32) -> Self {
        Self {
            prometheus,
            selection,
            slice_seconds,
            entries: BTreeMap::new(),
            running: JoinSet::new(),
            tasks: HashMap::new(),
            judged: Arc::default(),
        }
    }

    /// Removes canaries that are no longer in progress, and adds new ones.
    pub fn want(&mut self, trials: &CanaryTrials) {
        self.entries.retain(|key, _| trials.contains_key(key));
        let now = clock::wall();
        for (key, trial) in trials {
            let mut trial = trial.clone();
            trial.policy.slice_seconds = self.slice_seconds;
            // A minute, or less where slices are shorter than usual.
            trial.policy.warm_up_seconds = self.slice_seconds.saturating_mul(4).min(60);
            match self.entries.get_mut(key) {
                Some(entry) if entry.trial == trial => {}
                Some(entry) if entry.trial.continues(&trial) => entry.trial = trial,
                _ => {
                    self.entries.insert(key.clone(), CanaryWatch::new(trial, now));
                }
            }
        }
    }

    /// Takes finished readings, and begins those that are due. Never waits.
    pub fn go_on(&mut self) -> Arc<JudgedSteps> {
        while let Some(ended) = self.running.try_join_next_with_id() {
            let (task, reading) = match ended {
                Ok((task, reading)) => (task, Some(reading)),
                Err(failed) => (failed.id(), None),
            };
            self.record(task, reading);
        }
        self.begin_due();
        self.publish();
        Arc::clone(&self.judged)
    }

    fn record(&mut self, task: Id, reading: Option<CanaryTurn>) {
        let Some(key) = self.tasks.remove(&task) else { return };
        // Another canary of the component began meanwhile.
        let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.is_of(task)) else { return };
        entry.task = None;
        let CanaryTurn { judge, judged, outcome } = reading.unwrap_or_else(CanaryTurn::ended);
        let judge = judge.unwrap_or_else(|| Box::new(TrialJudge::new(&entry.trial, clock::wall())));
        if let Some(calibration) = judge.calibration().filter(|_| entry.judged.is_none()) {
            metrics::compared(calibration.comparisons, calibration.aborts);
        }
        entry.fresh_until = judge.fresh_until();
        entry.judge = Some(judge);
        entry.judged = judged.or(entry.judged.take());
        match outcome {
            Ok(()) => (entry.backoff, entry.problem) = (Backoff::default(), None),
            Err(error) => entry.fail(&error),
        }
    }

    fn begin_due(&mut self) {
        let (now, started) = (clock::wall(), clock::monotonic());
        let mut of_namespaces: BTreeMap<String, usize> = BTreeMap::new();
        for key in self.tasks.values() {
            *of_namespaces.entry(key.namespace.clone()).or_default() += 1;
        }
        let is_due = |entry: &CanaryWatch| {
            started >= entry.rests_until
                && entry.backoff.admits(started)
                && entry.judge.as_ref().is_some_and(|judge| judge.due(now).1 > 0)
        };
        // The one that was judged longest ago first.
        let mut due: Vec<_> = self.entries.iter_mut().filter(|(_, entry)| is_due(entry)).collect();
        due.sort_by_key(|(_, entry)| entry.fresh_until);
        for (key, entry) in due {
            let of_namespace = of_namespaces.entry(key.namespace.clone()).or_default();
            if self.tasks.len() >= READINGS || *of_namespace >= OF_NAMESPACE {
                continue;
            }
            let Some(judge) = entry.judge.take() else { continue };
            *of_namespace += 1;
            // While no pod was scraped the same slices stay due.
            entry.rests_until = started + Duration::from_secs(u64::from(self.slice_seconds)) / 2;
            let reader =
                CanaryReader { prometheus: self.prometheus.clone(), selection: self.selection.clone() };
            let task = self.running.spawn(reader.read(key.clone(), judge, entry.trial.clone(), now));
            self.tasks.insert(task.id(), key.clone());
            entry.task = Some(task);
        }
    }

    /// Nothing is copied while nothing changes.
    fn publish(&mut self) {
        let now = clock::wall();
        let judged = |(key, entry): (&ComponentKey, &CanaryWatch)| {
            let judged = entry.judged.as_ref()?;
            let is_fresh = now <= entry.fresh_until;
            let judged =
                if is_fresh { judged.clone() } else { judged.without_news(entry.problem.as_deref()) };
            Some((key.clone(), judged))
        };
        let judged: JudgedSteps = self.entries.iter().filter_map(judged).collect();
        for (key, one) in &judged {
            for kind in &one.judgement.kinds {
                let evidence =
                    [("worse", kind.ln_worse), ("better", kind.ln_better), ("small", kind.ln_share)];
                for (proof, ln) in evidence {
                    metrics::canary_evidence(
                        (&key.namespace, &key.app, &key.component),
                        kind.kind.label(),
                        proof,
                        ln,
                    );
                }
            }
        }
        if judged != *self.judged {
            self.judged = Arc::new(judged);
        }
    }
}

impl CanaryTurn {
    fn ended() -> Self {
        Self { judge: None, judged: None, outcome: Err(UnreadCanary::Ended) }
    }
}

impl CanaryWatch {
    fn new(trial: CanaryTrial, now: Timestamp) -> Self {
        Self {
            judge: Some(Box::new(TrialJudge::new(&trial, now))),
            trial,
            task: None,
            rests_until: clock::monotonic(),
            backoff: Backoff::default(),
            problem: None,
            judged: None,
            fresh_until: Timestamp::MIN,
        }
    }

    fn is_of(&self, task: Id) -> bool {
        self.task.as_ref().is_some_and(|own| own.id() == task)
    }

    fn fail(&mut self, error: &UnreadCanary) {
        self.problem = Some(error.to_string());
        self.backoff.failed(clock::monotonic(), backoff::CAP);
    }
}

impl Drop for CanaryWatch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Reads the slices of one canary.
struct CanaryReader {
    prometheus: Prometheus,
    selection: Selection,
}

impl CanaryReader {
    /// Feeds the judge with all slices that are complete.
    async fn read(
        self,
        key: ComponentKey,
        judge: Box<TrialJudge>,
        trial: CanaryTrial,
        now: Timestamp,
    ) -> CanaryTurn {
        let mut judge = Box::new(judge.follow(&trial, now));
        let mut most = CHUNK;
        let outcome = loop {
            let (grid, (from, due)) = (judge.grid(), judge.due(now));
            let count = due.min(most);
            if count == 0 {
                break Ok(());
            }
            let answers = match self.answers(&key, &trial, (grid, from, count)).await {
                Ok(answers) => answers,
                Err(UnreadCanary::Failed(error)) if error.is_of_size() && count > 1 => {
                    most = count / 2;
                    continue;
                }
                Err(error) => break Err(error),
            };
            let (until, is_last, trial) = (from + i64::from(count) - 1, count == due, trial.clone());
            let fed = spawn_blocking(move || {
                let fed = judge.feed(&scrapes(&answers, &trial, grid), until, is_last);
                (judge, fed)
            });
            let Ok((fed, outcome)) = fed.await else { return CanaryTurn::ended() };
            judge = fed;
            if is_last || outcome.is_err() {
                break outcome.map_err(UnreadCanary::from);
            }
        };
        let judged = spawn_blocking(move || {
            let judged = judge.judged();
            CanaryTurn { judge: Some(judge), judged, outcome }
        });
        judged.await.unwrap_or_else(|_| CanaryTurn::ended())
    }

    /// The answers for this many slices from this one on.
    async fn answers(
        &self,
        key: &ComponentKey,
        trial: &CanaryTrial,
        (grid, from, count): (SliceGrid, i64, u32),
    ) -> Result<CanaryAnswers, UnreadCanary> {
        let span = grid.span(from, count);
        let time = Duration::from_millis(span.until_ms().abs_diff(span.from_s * 1000));
        let queries = CanaryQueries::new(&self.selection, key, trial, time)?;
        let ask = |text: String| async move { self.prometheus.query_range("canary", &text, span).await };
        let mut answers = CanaryAnswers {
            pods: ask(queries.pods).await?,
            requests: ask(queries.requests).await?,
            errors: ask(queries.errors).await?,
            masked: ask(queries.masked).await?,
            ..CanaryAnswers::default()
        };
        if let Some(buckets) = queries.buckets {
            answers.buckets = ask(buckets).await?;
        }
        // Before the rollout they decide nothing.
        if from + i64::from(count) <= 1 {
            return Ok(answers);
        }
        for (source, text) in queries.breakers {
            answers.breakers.push((source, ask(text).await?));
        }
        for (dependency, query, text) in queries.own {
            match self.prometheus.query_range("canary_breaker", &text, span).await {
                Ok(answer) => answers.own.push((dependency, query, answer)),
                // Its author's own mistake: the breaker is not known.
                Err(QueryError::Rejected(_) | QueryError::TooLarge(_)) if count == 1 => {}
                Err(error @ QueryError::Rejected(_)) if !error.is_of_size() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(answers)
    }
}
