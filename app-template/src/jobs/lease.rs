//! Taking a job, keeping it, ending it. I/O: PostgreSQL.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::webhook;
use crate::database::{Database, DatabaseError, Query, Transaction};

/// A job of which the worker died at its last attempt has nobody left to say so.
static BURY: Query = Query::new(
    "UPDATE jobs.jobs",
    "UPDATE jobs.jobs SET state = 'dead', error = 'its worker died', finished_at = now(), worker = NULL
     WHERE queue = ANY($1) AND state = 'running' AND due_at <= now() AND attempts >= max_attempts",
);

/// Jobs that others are just taking are skipped, not waited for.
static CLAIM: Query = Query::new(
    "UPDATE jobs.jobs",
    "WITH due AS (
         SELECT id FROM jobs.jobs
         WHERE queue = ANY($1) AND state IN ('available', 'running') AND due_at <= now() AND attempts < max_attempts
         ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
     UPDATE jobs.jobs AS job
     SET state = 'running', attempts = attempts + 1, worker = $3, due_at = now() + $4 * interval '1 second'
     FROM due WHERE job.id = due.id
     RETURNING job.id, queue, kind, payload, attempts, max_attempts, webhook, traceparent",
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

static RETRY: Query = Query::new(
    "UPDATE jobs.jobs",
    "UPDATE jobs.jobs SET state = 'available', error = $4, worker = NULL, due_at = now() + $5 * interval '1 second'
     WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running'",
);

static GIVE_UP: Query = Query::new(
    "UPDATE jobs.jobs",
    "UPDATE jobs.jobs SET state = 'dead', error = $4, worker = NULL, finished_at = now()
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
    /// Something that will not.
    #[error("{0}")]
    Hopeless(String),
    /// Another worker holds the job by now; what this one did is rolled back.
    #[error("the lease was lost")]
    LeaseLost,
}

impl From<DatabaseError> for JobError {
    fn from(error: DatabaseError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// A job that this worker holds.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) payload: Value,
    pub(super) queue: String,
    pub(super) traceparent: Option<String>,
    worker: Uuid,
    attempts: i32,
    max_attempts: i32,
    webhook: Option<String>,
}

impl Lease {
    /// Ends the job in the transaction that holds its effect. Only a holder of the lease can.
    pub(crate) async fn finish(&self, transaction: &mut Transaction, result: &Value) -> Result<(), JobError> {
        self.end(transaction, &FINISH, result).await?;
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
    ) -> Result<(), JobError> {
        let mut transaction = database.begin().await?;
        let said = error.to_string();
        if matches!(error, JobError::Hopeless(_)) || self.attempts >= self.max_attempts {
            self.end(&transaction, &GIVE_UP, &said).await?;
            self.tell(&mut transaction, "dead", &Value::Null).await?;
            transaction.count_on_commit(finished(&self.queue, "dead"));
        } else {
            let pause = pause(backoff, self.attempts).as_secs_f64();
            let changed =
                transaction.execute(&RETRY, &[&self.id, &self.worker, &self.attempts, &said, &pause]).await?;
            if changed == 0 {
                return Err(JobError::LeaseLost);
            }
            transaction.count_on_commit(finished(&self.queue, "retried"));
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn end(
        &self,
        transaction: &Transaction,
        query: &Query,
        outcome: &(dyn tokio_postgres::types::ToSql + Sync),
    ) -> Result<(), JobError> {
        match transaction.execute(query, &[&self.id, &self.worker, &self.attempts, outcome]).await? {
            0 => Err(JobError::LeaseLost),
            _ => Ok(()),
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
        let Some(queue) = super::QUEUES.into_iter().find(|queue| *queue == self.queue) else { return Ok(()) };
        let body = json!({ "job": self.id, "state": state, "result": result });
        super::enqueue(transaction, webhook::job(queue, url, &body)).await
    }
}

/// Takes up to `most` jobs of `queues` that are due, until `lease` from now.
pub(super) async fn claim(
    database: &Database,
    queues: &[String],
    (worker, lease): (Uuid, Duration),
    most: usize,
) -> Result<Vec<Lease>, DatabaseError> {
    let connection = database.primary().await?;
    connection.query(&BURY, &[&queues]).await?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = connection.query(&CLAIM, &[&queues, &most, &worker, &lease.as_secs_f64()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Lease {
                id: row.try_get(0)?,
                queue: row.try_get(1)?,
                kind: row.try_get(2)?,
                payload: row.try_get(3)?,
                attempts: row.try_get(4)?,
                max_attempts: row.try_get(5)?,
                webhook: row.try_get(6)?,
                traceparent: row.try_get(7)?,
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
    fn pauses_double_up_to_ten_minutes_and_are_spread() {
        let most = |attempts| (0..1000).map(|_| pause(Duration::from_secs(1), attempts)).max().unwrap();
        assert!(most(1) <= Duration::from_secs(1));
        assert!(most(4) <= Duration::from_secs(8) && most(4) > Duration::from_secs(4));
        assert!(most(30) <= Duration::from_secs(600) && most(30) > Duration::from_secs(300));
    }
}
