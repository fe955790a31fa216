//! Taking a job, keeping it, ending it. I/O: PostgreSQL.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use uuid::Uuid;

use super::enqueue::enqueue;
use super::notice;
use crate::database::{Database, DatabaseError, Query, Transaction};
use crate::resilience::{CallError, Fault};

/// After this an orderly failure is the last: whoever is called knows the key of a call for about that long.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Up to the room of each queue. Jobs that others are just taking are skipped, not waited for; those of kinds that this
/// version does not know are left to one that does. A lease that has ended is a death of its worker.
static CLAIM: Query = Query::new(
    "UPDATE jobs.jobs",
    "WITH due AS (
         SELECT found.id FROM unnest($1::text[], $2::bigint[]) AS asked (queue, room), LATERAL (
             SELECT id FROM jobs.jobs
             WHERE queue = asked.queue AND kind = ANY($3) AND state IN ('available', 'running') AND due_at <= now()
             ORDER BY due_at LIMIT asked.room FOR UPDATE SKIP LOCKED) AS found)
     UPDATE jobs.jobs AS job
     SET state = 'running', lost_leases = lost_leases + (state = 'running')::int, attempts = attempts + 1, worker = $4,
         due_at = now() + $5 * interval '1 second'
     FROM due WHERE job.id = due.id
     RETURNING job.id, queue, kind, payload, attempts, lost_leases >= max_attempts, webhook, traceparent,
         extract(epoch FROM now() - enqueued_at)::float8",
);

static KEEP: Query = Query::new(
    "UPDATE jobs.jobs",
    "UPDATE jobs.jobs SET due_at = now() + $3 * interval '1 second'
     WHERE id = ANY($1) AND worker = $2 AND state = 'running' RETURNING id",
);

static FINISH: Query = Query::new(
    "UPDATE jobs.jobs",
    "UPDATE jobs.jobs SET state = 'done', result = $4, error = NULL, worker = NULL, finished_at = now()
     WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running'",
);

/// Back for later, or for good if `$7`; what was not tried is no attempt, and `$6` is 1 then.
static FAIL: Query = Query::new(
    "UPDATE jobs.jobs",
    "UPDATE jobs.jobs
     SET state = CASE WHEN $7 THEN 'dead' ELSE 'available' END, finished_at = CASE WHEN $7 THEN now() END,
         error = $4, worker = NULL, due_at = now() + $5 * interval '1 second', attempts = attempts - $6
     WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running'",
);

/// Not an attempt: the worker was told to leave.
static RELEASE: Query = Query::new(
    "UPDATE jobs.jobs",
    "UPDATE jobs.jobs SET state = 'available', attempts = attempts - 1, worker = NULL, due_at = now()
     WHERE id = ANY($1) AND worker = $2 AND state = 'running' RETURNING queue",
);

/// Why a job did not end well this time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// Something that may be better later.
    #[error("{0}")]
    Retry(String),
    /// Nothing was tried, so that nothing failed: what it needs is left alone for a while, or missing here.
    #[error("{0}")]
    NotTried(String),
    /// Something that will not.
    #[error("{0}")]
    Hopeless(String),
    /// It was begun as often as it may be, and each time its worker died.
    #[error("its worker died each time that it was begun")]
    WorkersDied,
    /// Another worker holds the job by now; what this one did is rolled back.
    #[error("the lease was lost")]
    LeaseLost,
}

impl From<DatabaseError> for JobError {
    fn from(error: DatabaseError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// The one rule for every dependency: what it refuses for good is not asked again, and what was not asked is no attempt.
impl<E: Fault> From<CallError<E>> for JobError {
    fn from(error: CallError<E>) -> Self {
        let said = error.to_string();
        match error {
            CallError::Open(_) | CallError::Full(_) => Self::NotTried(said),
            CallError::Failed(error) if !error.is_fault() => Self::Hopeless(said),
            CallError::Failed(_) | CallError::TimedOut(_) => Self::Retry(said),
        }
    }
}

impl JobError {
    fn is_attempt(&self) -> bool {
        !matches!(self, Self::NotTried(_) | Self::WorkersDied)
    }

    /// Whether a job of this age is given up. What was not tried waits, however old it is.
    fn ends_at(&self, age: Duration) -> bool {
        matches!(self, Self::Hopeless(_) | Self::WorkersDied) || (self.is_attempt() && age >= MAX_AGE)
    }
}

/// What else changes in the transaction that ends a job as refused for good.
pub(crate) type Refused = for<'a> fn(&'a Transaction, &'a Lease) -> BoxFuture<'a, Result<(), DatabaseError>>;

/// A job that this worker holds.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) payload: Value,
    pub(super) queue: String,
    pub(super) traceparent: Option<String>,
    /// Its workers have died as often as they may: it is taken to be given up, not to be begun.
    pub(super) is_deadly: bool,
    worker: Uuid,
    attempts: i32,
    /// How long ago it was added.
    age: Duration,
    webhook: Option<String>,
}

impl Lease {
    /// Ends the job in the transaction that holds its effect. Only a holder of the lease can.
    pub(crate) async fn finish(&self, transaction: &mut Transaction, result: &Value) -> Result<(), JobError> {
        let changed = transaction.execute(&FINISH, &[&self.id, &self.worker, &self.attempts, result]).await?;
        if changed == 0 {
            return Err(JobError::LeaseLost);
        }
        self.tell(transaction, "done", result).await?;
        transaction.count_on_commit(finished(&self.queue, "done"));
        Ok(())
    }

    /// Gives the job back, to be tried again after a while, or for good.
    pub(super) async fn fail(
        &self,
        database: &Database,
        error: &JobError,
        backoff: Duration,
        refused: Option<Refused>,
    ) -> Result<(), JobError> {
        let is_over = error.ends_at(self.age);
        let outcome = match error {
            _ if is_over => "dead",
            JobError::NotTried(_) => "released",
            _ => "retried",
        };
        let (said, pause) = (error.to_string(), self.pause(error, backoff).as_secs_f64());
        let untried = i32::from(!error.is_attempt());
        let mut transaction = database.begin().await?;
        // In the order of a run that ends well, so that the two never wait for each other.
        if let (JobError::Hopeless(_), Some(refused)) = (error, refused) {
            refused(&transaction, self).await?;
        }
        let changed = transaction
            .execute(&FAIL, &[&self.id, &self.worker, &self.attempts, &said, &pause, &untried, &is_over])
            .await?;
        if changed == 0 {
            return Err(JobError::LeaseLost);
        }
        if is_over {
            tracing::error!(job = %self.id, kind = self.kind, %error, "the job is given up");
            self.tell(&mut transaction, "dead", &Value::Null).await?;
        }
        transaction.count_on_commit(finished(&self.queue, outcome));
        transaction.commit().await?;
        Ok(())
    }

    /// What was tried waits longer each time. What was not is looked at again within a minute, sooner the younger the
    /// job is: of jobs older than that each is looked at twice a minute.
    fn pause(&self, error: &JobError, backoff: Duration) -> Duration {
        match error {
            JobError::NotTried(_) => {
                self.age.max(backoff).min(Duration::from_secs(60)).mul_f64(fastrand::f64())
            }
            _ => pause(backoff, self.attempts),
        }
    }

    /// The webhook is a job as well: committed together with what it tells, and retried like any other.
    async fn tell(
        &self,
        transaction: &mut Transaction,
        state: &str,
        result: &Value,
    ) -> Result<(), DatabaseError> {
        let Some(url) = &self.webhook else { return Ok(()) };
        let body = json!({ "job": self.id, "state": state, "result": result });
        enqueue(transaction, notice::job(url, &body)).await
    }
}

/// Takes jobs of `kinds` that are due, of each queue up to its room, until `lease` from now.
pub(super) async fn claim(
    database: &Database,
    rooms: &BTreeMap<&str, usize>,
    kinds: &[&str],
    (worker, lease): (Uuid, Duration),
) -> Result<Vec<Lease>, DatabaseError> {
    let queues: Vec<&str> = rooms.keys().copied().collect();
    let rooms: Vec<i64> = rooms.values().map(|room| i64::try_from(*room).unwrap_or(i64::MAX)).collect();
    let connection = database.primary().await?;
    let rows = connection.query(&CLAIM, &[&queues, &rooms, &kinds, &worker, &lease.as_secs_f64()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Lease {
                id: row.try_get(0)?,
                queue: row.try_get(1)?,
                kind: row.try_get(2)?,
                payload: row.try_get(3)?,
                attempts: row.try_get(4)?,
                is_deadly: row.try_get(5)?,
                webhook: row.try_get(6)?,
                traceparent: row.try_get(7)?,
                age: Duration::try_from_secs_f64(row.try_get(8)?).unwrap_or_default(),
                worker,
            })
        })
        .collect()
}

/// Renews the leases of `jobs` and returns those that are still held.
pub(super) async fn keep(
    database: &Database,
    jobs: &[Uuid],
    (worker, lease): (Uuid, Duration),
) -> Result<Vec<Uuid>, DatabaseError> {
    let rows = database.primary().await?.query(&KEEP, &[&jobs, &worker, &lease.as_secs_f64()]).await?;
    rows.iter().map(|row| row.try_get(0).map_err(DatabaseError::from)).collect()
}

/// Gives `jobs` back at once and returns how many those were.
pub(super) async fn release(
    database: &Database,
    jobs: &[Uuid],
    worker: Uuid,
) -> Result<usize, DatabaseError> {
    let rows = database.primary().await?.query(&RELEASE, &[&jobs, &worker]).await?;
    for row in &rows {
        finished(row.try_get(0)?, "released").increment(1);
    }
    Ok(rows.len())
}

fn finished(queue: &str, outcome: &'static str) -> metrics::Counter {
    metrics::counter!("jobs_finished_total", "queue" => queue.to_owned(), "outcome" => outcome)
}

/// Full jitter: a random time up to one that doubles with each attempt. (Brooker, "Exponential Backoff And Jitter".)
fn pause(backoff: Duration, attempts: i32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(600);
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(20);
    backoff.saturating_mul(1 << doublings).min(LONGEST).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_given_up_for_its_age_only_when_it_was_tried() {
        let (young, old) = (MAX_AGE / 2, MAX_AGE + Duration::from_secs(1));
        let said = || "so".to_owned();
        let ends = |error: JobError| [young, old].map(|age| error.ends_at(age));
        assert_eq!(ends(JobError::NotTried(said())), [false, false]);
        assert_eq!(ends(JobError::Retry(said())), [false, true]);
        assert_eq!(ends(JobError::Hopeless(said())), [true, true]);
        assert_eq!(ends(JobError::WorkersDied), [true, true]);
    }

    #[test]
    fn pauses_double_up_to_ten_minutes_and_are_spread() {
        let most = |attempts| (0..1000).map(|_| pause(Duration::from_secs(1), attempts)).max().unwrap();
        assert!(most(1) <= Duration::from_secs(1));
        assert!(most(4) <= Duration::from_secs(8) && most(4) > Duration::from_secs(4));
        assert!(most(30) <= Duration::from_secs(600) && most(30) > Duration::from_secs(300));
    }
}
