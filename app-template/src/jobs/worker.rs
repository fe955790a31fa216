//! The loop that takes jobs and runs them. I/O: PostgreSQL, and whatever the jobs do.

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use opentelemetry::global::get_text_map_propagator;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{interval, sleep, timeout};
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use super::args::WorkerArgs;
use super::lease::{self, JobError, Lease};
use super::work::{JobState, Work};
use crate::phase::{Phase, reached};

/// How long an empty queue is left alone, spread by half.
const POLL: Duration = Duration::from_millis(400);

/// The jobs that run here, each with its queue and what stops it.
type Running = Arc<Mutex<Tasks>>;
type Tasks = BTreeMap<Uuid, (String, AbortHandle)>;

/// Runs jobs until the process begins to leave; then finishes those that it holds, for at most the time of its
/// arguments, or else `drain`, and gives back the rest.
pub(crate) async fn run<S: JobState>(
    state: S,
    works: Vec<Work<S>>,
    args: WorkerArgs,
    phase: watch::Receiver<Phase>,
    drain: Duration,
) {
    let drain = args.drain.unwrap_or(drain);
    let worker = Worker::new(state, works, args);
    for queue in &worker.args.queues {
        // A worker that has not had a job yet is idle, and says so.
        Held::gauge(queue).set(0.0);
    }
    let mut tasks = JoinSet::new();
    let heartbeat = tokio::spawn(keep_leases(worker.clone()));
    tracing::info!(worker = %worker.id, queues = ?worker.args.queues, concurrency = worker.args.concurrency, "working");

    tokio::select! {
        () = worker.state.database().migrated() => {}
        () = reached(phase.clone(), Phase::LameDuck) => {}
    }
    let mut next_look = Instant::now();
    loop {
        let rooms = worker.rooms();
        let has_room = !rooms.is_empty();
        tokio::select! {
            biased;
            () = reached(phase.clone(), Phase::LameDuck) => break,
            Some(_) = tasks.join_next() => {
                // There is room again, and as long as it fills there is more.
                next_look = Instant::now();
            }
            () = if has_room { sleep(next_look.saturating_duration_since(Instant::now())).left_future() } else { pending().right_future() } => {
                let is_all = worker.take(&rooms, &mut tasks).await;
                next_look = Instant::now() + if is_all { POLL.mul_f64(0.5 + fastrand::f64()) } else { Duration::ZERO };
            }
        }
    }

    let finished = timeout(drain, async { while tasks.join_next().await.is_some() {} }).await;
    heartbeat.abort();
    if finished.is_err() {
        let left: Vec<Uuid> = jobs(&worker.running).keys().copied().collect();
        tasks.shutdown().await;
        match lease::release(worker.state.database(), &left, worker.id).await {
            Ok(count) => tracing::warn!(count, "gave back jobs that did not finish within the drain time"),
            Err(error) => tracing::error!(%error, "failed to give back jobs, their leases will end"),
        }
    }
}

/// What runs jobs here.
#[derive(Clone)]
struct Worker<S> {
    /// New with each start: a pod that comes back under its old name must not take over what it held before.
    id: Uuid,
    state: S,
    works: Arc<Vec<Work<S>>>,
    args: Arc<WorkerArgs>,
    running: Running,
}

impl<S: JobState> Worker<S> {
    fn new(state: S, works: Vec<Work<S>>, args: WorkerArgs) -> Self {
        Self {
            id: Uuid::new_v4(),
            state,
            works: Arc::new(works),
            args: Arc::new(args),
            running: Running::default(),
        }
    }

    /// How many more jobs each queue may run here; none of those that are full. A queue has places of its own, so that
    /// jobs that hang hold up only their own queue.
    fn rooms(&self) -> BTreeMap<&str, usize> {
        let running = jobs(&self.running);
        let in_use = |queue: &str| running.values().filter(|(taken, _)| taken == queue).count();
        let room = |queue: &str| self.args.concurrency.saturating_sub(in_use(queue));
        let rooms = self.args.queues.iter().map(|queue| (queue.as_str(), room(queue)));
        rooms.filter(|(_, room)| *room > 0).collect()
    }

    /// Takes what is due, and says whether that was all that there is.
    async fn take(&self, rooms: &BTreeMap<&str, usize>, tasks: &mut JoinSet<()>) -> bool {
        let kinds: Vec<&str> = self.works.iter().map(|work| work.kind).collect();
        let claimed = lease::claim(self.state.database(), rooms, &kinds, (self.id, self.args.lease)).await;
        let claimed = claimed.unwrap_or_else(|error| {
            tracing::warn!(%error, "failed to look for jobs, will try again");
            Vec::new()
        });
        let count = |queue: &str| claimed.iter().filter(|lease| lease.queue == queue).count();
        let is_all = rooms.iter().all(|(queue, room)| count(queue) < *room);
        for lease in claimed {
            // Only jobs of these kinds are claimed.
            let Some(work) = self.works.iter().find(|work| work.kind == lease.kind).copied() else {
                continue;
            };
            let held = Held::new(Arc::clone(&self.running), &lease);
            // Locked until it is inserted, so that a job that ends at once is taken out after that.
            let mut jobs = jobs(&self.running);
            let (id, queue) = (lease.id, lease.queue.clone());
            let task = tasks.spawn(self.clone().one(work, lease, held));
            jobs.insert(id, (queue, task));
        }
        is_all
    }

    /// Runs one job to its end, whatever that is.
    async fn one(self, work: Work<S>, lease: Lease, _held: Held) {
        let span = span(&lease);
        async {
            let begun = Instant::now();
            let outcome = if lease.is_deadly {
                Err(JobError::WorkersDied)
            } else {
                (work.run)(&self.state, &lease).await
            };
            metrics::histogram!("job_duration_seconds", "queue" => lease.queue.clone()).record(begun.elapsed());
            match outcome {
                Ok(()) => tracing::info!(job = %lease.id, kind = lease.kind, "the job is done"),
                Err(JobError::LeaseLost) => {
                    tracing::warn!(job = %lease.id, "another worker holds the job by now");
                }
                Err(error) => {
                    tracing::warn!(job = %lease.id, kind = lease.kind, %error, "the job failed");
                    let database = self.state.database();
                    if let Err(error) = lease.fail(database, &error, self.args.backoff, work.refused).await {
                        tracing::warn!(job = %lease.id, %error, "failed to give the job back, its lease will end");
                    }
                }
            }
        }
        .instrument(span)
        .await;
    }
}

/// The span of a run continues the trace of the request that added the job.
fn span(lease: &Lease) -> Span {
    let span = info_span!("job", otel.name = lease.kind, otel.kind = "consumer");
    if let Some(traceparent) = &lease.traceparent {
        let carrier = HashMap::from([("traceparent".to_owned(), traceparent.clone())]);
        // Refused only while no one listens to spans.
        let _ = span.set_parent(get_text_map_propagator(|propagator| propagator.extract(&carrier)));
    }
    span
}

/// Renews the leases of what runs, and stops what is no longer held.
async fn keep_leases<S: JobState>(worker: Worker<S>) {
    let Worker { id, state, args, running, .. } = worker;
    let mut ticks = interval(args.lease / 3);
    loop {
        ticks.tick().await;
        let held: Vec<Uuid> = jobs(&running).keys().copied().collect();
        if held.is_empty() {
            continue;
        }
        match lease::keep(state.database(), &held, (id, args.lease)).await {
            Ok(kept) => {
                let running = jobs(&running);
                for lost in held.iter().filter(|id| !kept.contains(id)) {
                    if let Some((_, task)) = running.get(lost) {
                        tracing::warn!(job = %lost, "another worker holds the job by now");
                        task.abort();
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "failed to renew leases, will try again"),
        }
    }
}

fn jobs(running: &Running) -> MutexGuard<'_, Tasks> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a job as running for as long as it lives, a panic or an abort included.
struct Held {
    running: Running,
    id: Uuid,
    queue: String,
}

impl Held {
    fn new(running: Running, lease: &Lease) -> Self {
        Self::gauge(&lease.queue).increment(1.0);
        Self { running, id: lease.id, queue: lease.queue.clone() }
    }

    fn gauge(queue: &str) -> metrics::Gauge {
        metrics::gauge!("jobs_in_flight", "queue" => queue.to_owned())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        jobs(&self.running).remove(&self.id);
        Self::gauge(&self.queue).decrement(1.0);
    }
}
