//! Adding a job to a transaction. I/O: PostgreSQL.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::global::get_text_map_propagator;
use serde_json::Value;
use uuid::Uuid;

use crate::database::{DatabaseError, Query, Transaction};

static INSERT: Query = Query::new(
    "INSERT jobs.jobs",
    "INSERT INTO jobs.jobs (id, queue, kind, payload, max_attempts, due_at, webhook, traceparent)
     VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 second', $7, $8)",
);

static WITHDRAW: Query = Query::new(
    "UPDATE jobs.jobs",
    "UPDATE jobs.jobs SET state = 'done', result = $2, finished_at = now() WHERE id = $1 AND state = 'available'",
);

/// A job to add.
#[derive(Debug)]
pub(crate) struct NewJob<'a> {
    /// Chosen by whoever adds it; a job may bear the identifier of what it is for. Best one that rises with time,
    /// so that new rows stand side by side in the index.
    pub(crate) id: Uuid,
    pub(crate) queue: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) payload: Value,
    /// How often it may end with its worker. What fails in order is repeated until it is a day old.
    pub(crate) max_attempts: i32,
    /// How long it waits before it may run.
    pub(crate) delay: Duration,
    /// Where its end is told, if anywhere.
    pub(crate) webhook: Option<&'a str>,
}

/// Adds the job; it is there once `transaction` is committed, and is counted then.
pub(crate) async fn enqueue(transaction: &mut Transaction, job: NewJob<'_>) -> Result<(), DatabaseError> {
    let delay = job.delay.as_secs_f64();
    transaction
        .execute(
            &INSERT,
            &[
                &job.id,
                &job.queue,
                &job.kind,
                &job.payload,
                &job.max_attempts,
                &delay,
                &job.webhook,
                &traceparent(),
            ],
        )
        .await?;
    transaction.count_on_commit(metrics::counter!("jobs_enqueued_total", "queue" => job.queue));
    Ok(())
}

/// Ends a job that nobody has begun, because what it was for is done. One that a worker has begun is left alone.
pub(crate) async fn withdraw(
    transaction: &Transaction,
    id: Uuid,
    result: &Value,
) -> Result<(), DatabaseError> {
    transaction.execute(&WITHDRAW, &[&id, result]).await.map(drop)
}

/// The request's place in its trace, so that the job's spans join it.
fn traceparent() -> Option<String> {
    let mut carrier = HashMap::new();
    get_text_map_propagator(|propagator| propagator.inject(&mut carrier));
    carrier.remove("traceparent")
}
