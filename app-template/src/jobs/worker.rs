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

use super::lease::{self, JobError, Lease};
use super::{Work, WorkerArgs, retention, webhook};
use crate::phase::{Phase, reached};
use crate::shop::Shop;

/// How long an empty queue is left alone, spread by half.
const POLL: Duration = Duration::from_millis(400);

/// The jobs that run here, with what stops them.
type Running = Arc<Mutex<BTreeMap<Uuid, AbortHandle>>>;

/// Runs jobs until the process begins to leave; then finishes those that it holds, for at most `drain`, and gives
/// back the rest.
pub(crate) async fn run(
    shop: Shop,
    works: Vec<Work>,
    args: WorkerArgs,
    phase: watch::Receiver<Phase>,
    drain: Duration,
) {
    // New with each start: a pod that comes back under its old name must not take over what it held before.
    let worker = Uuid::new_v4();
    let running = Running::default();
    let mut tasks = JoinSet::new();
    let heartbeat = tokio::spawn(keep_leases(shop.clone(), Arc::clone(&running), (worker, args.lease)));
    let retention = tokio::spawn(retention::run(shop.database.clone()));
    let works = Arc::new(works);
    tracing::info!(%worker, queues = ?args.queues, concurrency = args.concurrency, "working");

    tokio::select! {
        () = shop.database.migrated() => {}
        () = reached(phase.clone(), Phase::LameDuck) => {}
    }
    let mut next_look = Instant::now();
    loop {
        let has_room = tasks.len() < args.concurrency;
        tokio::select! {
            biased;
            () = reached(phase.clone(), Phase::LameDuck) => break,
            Some(_) = tasks.join_next() => {
                // There is room again, and as long as it fills there is more.
                next_look = Instant::now();
            }
            () = if has_room { sleep(next_look.saturating_duration_since(Instant::now())).left_future() } else { pending().right_future() } => {
                let room = args.concurrency - tasks.len();
                let claimed = lease::claim(&shop.database, &args.queues, (worker, args.lease), room).await;
                let claimed = claimed.unwrap_or_else(|error| {
                    tracing::warn!(%error, "failed to look for jobs, will try again");
                    Vec::new()
                });
                let is_all = claimed.len() < room;
                for lease in claimed {
                    let held = Held::new(Arc::clone(&running), &lease);
                    // Locked until it is inserted, so that a job that ends at once is taken out after that.
                    let mut jobs = jobs(&running);
                    jobs.insert(lease.id, tasks.spawn(one(shop.clone(), Arc::clone(&works), lease, args.backoff, held)));
                }
                next_look = Instant::now() + if is_all { POLL.mul_f64(0.5 + fastrand::f64()) } else { Duration::ZERO };
            }
        }
    }

    let finished = timeout(drain, async { while tasks.join_next().await.is_some() {} }).await;
    heartbeat.abort();
    retention.abort();
    if finished.is_err() {
        let left: Vec<Uuid> = jobs(&running).keys().copied().collect();
        tasks.shutdown().await;
        match lease::release(&shop.database, &left, worker).await {
            Ok(count) => tracing::warn!(count, "gave back jobs that did not finish within the drain time"),
            Err(error) => tracing::error!(%error, "failed to give back jobs, their leases will end"),
        }
    }
}

/// Runs one job to its end, whatever that is.
async fn one(shop: Shop, works: Arc<Vec<Work>>, lease: Lease, backoff: Duration, _held: Held) {
    let span = span(&lease);
    async {
        let begun = Instant::now();
        let outcome = match works.iter().find(|work| work.kind == lease.kind) {
            Some(work) => (work.run)(&shop, &lease).await,
            None if lease.kind == webhook::KIND => webhook::deliver(&shop, &lease).await,
            None => Err(JobError::Hopeless(format!("nothing here runs jobs of the kind {}", lease.kind))),
        };
        metrics::histogram!("job_duration_seconds", "queue" => lease.queue.clone()).record(begun.elapsed());
        match outcome {
            Ok(()) => tracing::info!(job = %lease.id, kind = lease.kind, "the job is done"),
            Err(JobError::LeaseLost) => tracing::warn!(job = %lease.id, "another worker holds the job by now"),
            Err(error) => {
                tracing::warn!(job = %lease.id, kind = lease.kind, %error, "the job failed");
                if let Err(error) = lease.fail(&shop.database, &error, backoff).await {
                    tracing::warn!(job = %lease.id, %error, "failed to give the job back, its lease will end");
                }
            }
        }
    }
    .instrument(span)
    .await;
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
async fn keep_leases(shop: Shop, running: Running, (worker, lease): (Uuid, Duration)) {
    let mut ticks = interval(lease / 3);
    loop {
        ticks.tick().await;
        let held: Vec<Uuid> = jobs(&running).keys().copied().collect();
        if held.is_empty() {
            continue;
        }
        match lease::keep(&shop.database, &held, (worker, lease)).await {
            Ok(kept) => {
                let running = jobs(&running);
                for lost in held.iter().filter(|id| !kept.contains(id)) {
                    if let Some(task) = running.get(lost) {
                        tracing::warn!(job = %lost, "another worker holds the job by now");
                        task.abort();
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "failed to renew leases, will try again"),
        }
    }
}

fn jobs(running: &Running) -> MutexGuard<'_, BTreeMap<Uuid, AbortHandle>> {
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
