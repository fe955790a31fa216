//! Whether more pods raise the throughput of a pool of workers. Pure.
//!
//! A poison job, a lock or a slow dependency keeps a backlog from falling, however many pods there are. So each growth
//! of the pool is an experiment:
//!
//! 1. When the pool grows, its replicas and its throughput before are remembered. The throughput is updated until a new
//!    pod is ready. Further growth belongs to the same experiment.
//! 2. It is judged once more pods than before have been ready for [`SETTLE`] and the duration of a job. Throughput must
//!    have risen by [`SHARE`] of what it would have risen in proportion to the pods, and by more than [`NOISE`].
//! 3. If it has, the pool may grow again, as the next experiment. If not, growth stops until throughput has risen, or
//!    until the backlog has gone, or the pool shrinks.
//!
//! Until then growth is free, because a burst must not wait for proof, with two exceptions. Jobs that become slower
//! count with their duration before the growth: behind a shared limit each new pod makes all jobs slower, and so asks for
//! the next one. A pool that stands still, because its pods have had jobs for that time and none ended, waits for the
//! judgement.
//!
//! Where nobody counts the jobs that end, no growth is judged, and growth is free.
//!
//! Limits of the rule: it never removes pods, and what grew within the time of one experiment stays. A throughput that
//! was high by chance before a growth delays the next one.
//!
//! The status keeps the pool before its last growth, written together with the replicas. After a restart the growth is
//! judged again, against what was before it.

use crate::hpa::pod::Pod;
use crate::propose::metric::{decimal, thousandths};
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::{PoolGrowth, Quantity};
use serde::{Deserialize, Serialize};

/// Time for which a pod must have been ready. It is two windows of a minute: within the first one the pod takes up its
/// work, and the second one measures nothing but work.
const SETTLE: SignedDuration = SignedDuration::from_secs(120);

/// The share of a proportional rise that throughput must reach. Pods share databases, so no rise is wholly
/// proportional; with less than half of it, more pods mostly wait for each other.
const SHARE: f64 = 0.5;

/// Jobs per second below which a rise is noise: two jobs within [`SETTLE`], such as a poison job that is given up.
const NOISE: f64 = 2.0 / 120.0;

/// The growth of a pool, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GrowthMemory {
    /// Replicas at the last measurement.
    replicas: i32,
    /// Throughput at the last measurement, in jobs per second.
    throughput: f64,
    /// The last known duration of a job.
    seconds_per_job: Option<f64>,
    /// Since when ready pods have had jobs and none ended.
    still_since: Option<Timestamp>,
    /// The growth that is not known to have helped.
    experiment: Option<Experiment>,
}

/// A growth of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Experiment {
    /// Replicas before.
    before: i32,
    /// Replicas after.
    after: i32,
    /// Throughput before, in jobs per second.
    throughput: f64,
    /// The duration of a job before, if known.
    seconds_per_job: Option<f64>,
    /// Whether throughput is known not to have risen.
    failed: bool,
}

/// A pool at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerPool<'a> {
    pub(crate) now: Timestamp,
    pub(crate) pods: &'a [Pod],
    pub(crate) current_replicas: i32,
    /// Jobs that a pod runs at the same time.
    pub(crate) concurrency: i32,
    /// Jobs that ended, per second; `None` where nobody counts them.
    pub(crate) throughput: Option<f64>,
    /// Whether jobs wait or run.
    pub(crate) has_jobs: bool,
    /// Mean duration of the jobs that ended; `None` where none did.
    pub(crate) seconds_per_job: Option<f64>,
}

/// Whether a pool may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// The last growth helped, or there was none.
    Free,
    /// The last growth is not judged yet.
    Observed,
    /// The last growth did not help.
    Stopped,
}

impl GrowthMemory {
    /// Adds a measurement, and judges the last growth.
    pub(crate) fn observe(&mut self, pool: &WorkerPool<'_>) -> Growth {
        let Some(throughput) = pool.throughput else {
            self.note_duration(pool);
            return Growth::Free;
        };
        self.note(pool, throughput);
        let (settle, seconds_per_job) = (self.settle(), self.seconds_per_job);
        let stands_still = self.still_since.is_some_and(|since| pool.now.duration_since(since) >= settle);
        let Some(experiment) = &mut self.experiment else { return Growth::Free };
        if pool.ready_for(SignedDuration::ZERO) <= experiment.before && !experiment.failed {
            experiment.throughput = throughput;
        }
        let settled = pool.ready_for(settle);
        if settled > experiment.before || experiment.failed {
            if experiment.has_helped(pool, throughput, settled, seconds_per_job) {
                self.experiment = None;
                return Growth::Free;
            }
            experiment.failed = true;
        }
        if experiment.failed || (stands_still && experiment.before > 0) {
            Growth::Stopped
        } else {
            Growth::Observed
        }
    }

    /// The last known duration of a job. While a growth is observed, it is at most the one before.
    pub(crate) fn seconds_per_job(&self, growth: Growth) -> Option<f64> {
        let known = self.seconds_per_job?;
        let before = self.experiment.filter(|one| growth == Growth::Observed && one.before > 0);
        Some(before.and_then(|one| one.seconds_per_job).map_or(known, |seconds| known.min(seconds)))
    }

    /// Ends the experiment: the backlog has gone.
    pub(crate) fn end(&mut self) {
        self.experiment = None;
    }

    /// Ends the experiment: the pool shrinks.
    pub(crate) fn shrink(&mut self, replicas: i32) {
        (self.replicas, self.experiment) = (replicas, None);
    }

    /// The pool before its last growth, for the status.
    pub(crate) fn persist(&self, metric: &str) -> PoolGrowth {
        let (replicas, throughput, seconds_per_job) = match self.experiment {
            Some(one) => (one.before, one.throughput, one.seconds_per_job.or(self.seconds_per_job)),
            None => (self.replicas, self.throughput, self.seconds_per_job),
        };
        PoolGrowth {
            metric: metric.to_owned(),
            replicas,
            throughput: Quantity(decimal(thousandths(throughput))),
            seconds_per_job: seconds_per_job.map(|seconds| Quantity(decimal(thousandths(seconds)))),
        }
    }

    /// The memory of a new process. An unreadable throughput counts as none, so that the growth has helped.
    pub(crate) fn restore(persisted: &PoolGrowth) -> Self {
        let number = |quantity: &Quantity| quantity.milli().ok().map(|milli| milli as f64 / 1000.0);
        Self {
            replicas: persisted.replicas,
            throughput: number(&persisted.throughput).unwrap_or_default(),
            seconds_per_job: persisted.seconds_per_job.as_ref().and_then(number),
            still_since: None,
            experiment: None,
        }
    }

    fn note(&mut self, pool: &WorkerPool<'_>, throughput: f64) {
        let current = pool.current_replicas;
        match &mut self.experiment {
            Some(experiment) if current < experiment.after => self.experiment = None,
            Some(experiment) => experiment.after = current,
            None if current > self.replicas => {
                self.experiment = Some(Experiment {
                    before: self.replicas,
                    after: current,
                    throughput: self.throughput,
                    seconds_per_job: self.seconds_per_job,
                    failed: false,
                });
            }
            None => {}
        }
        (self.replicas, self.throughput) = (current, throughput);
        self.note_duration(pool);
        let is_still = throughput <= 0.0 && pool.has_jobs && pool.ready_for(SignedDuration::ZERO) > 0;
        self.still_since = is_still.then(|| self.still_since.unwrap_or(pool.now));
    }

    fn note_duration(&mut self, pool: &WorkerPool<'_>) {
        self.seconds_per_job = pool.seconds_per_job.or(self.seconds_per_job);
    }

    /// Time after which a pod's throughput is known: a job must be able to end within it.
    fn settle(&self) -> SignedDuration {
        let job = self.seconds_per_job.unwrap_or(0.0);
        SETTLE.saturating_add(SignedDuration::try_from_secs_f64(job).unwrap_or(SignedDuration::MAX))
    }
}

impl Experiment {
    fn has_helped(
        &self,
        pool: &WorkerPool<'_>,
        throughput: f64,
        settled: i32,
        seconds_per_job: Option<f64>,
    ) -> bool {
        let added = f64::from(settled.saturating_sub(self.before).max(1));
        let proportional =
            if self.before > 0 { self.throughput * added / f64::from(self.before) } else { 0.0 };
        // Long jobs end seldom, however well they run.
        let possible = match seconds_per_job {
            Some(seconds) if seconds > 0.0 => added * f64::from(pool.concurrency) / seconds,
            _ => f64::INFINITY,
        };
        let least = (SHARE * proportional).max(NOISE.min(SHARE * possible));
        throughput - self.throughput >= least
    }
}

impl WorkerPool<'_> {
    /// The pods that have been ready for a time, without those that leave.
    fn ready_for(&self, time: SignedDuration) -> i32 {
        let ready = self.pods.iter().filter(|pod| !pod.deleting && pod.is_ready_for(time, self.now));
        i32::try_from(ready.count()).unwrap_or(i32::MAX)
    }
}
