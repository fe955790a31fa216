//! How much waits, and for how long: shown by every process with a database, workers or none. I/O: PostgreSQL.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::queues::QUEUES;
use crate::database::{Database, DatabaseError, Query};

const EVERY: Duration = Duration::from_secs(2);

/// Counts up to a limit: past it the number says no more, and counting a million rows is load of its own.
static COUNT: Query = Query::new(
    "SELECT jobs.jobs",
    "SELECT queue,
        (SELECT count(*) FROM (SELECT FROM jobs.jobs j WHERE j.queue = q.queue AND state IN ('available', 'running')
            AND due_at <= now() LIMIT 10000) due),
        (SELECT count(*) FROM (SELECT FROM jobs.jobs j WHERE j.queue = q.queue AND state = 'running'
            AND due_at > now() LIMIT 10000) running),
        (SELECT count(*) FROM (SELECT FROM jobs.jobs j WHERE j.queue = q.queue AND state = 'available'
            AND due_at > now() LIMIT 10000) scheduled),
        (SELECT count(*) FROM (SELECT FROM jobs.jobs j WHERE j.queue = q.queue AND state = 'dead' LIMIT 10000) dead),
        (SELECT coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 FROM jobs.jobs j
            WHERE j.queue = q.queue AND state IN ('available', 'running') AND due_at <= now())
     FROM unnest($1::text[]) AS q (queue)",
);

/// The states in the order of the columns.
const STATES: [&str; 4] = ["available", "running", "scheduled", "dead"];

/// Looks for as long as the process lives.
pub(crate) async fn run(database: Database) {
    database.migrated().await;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = look(&database).await {
            tracing::debug!(%error, "the backlog is not known");
            // A number that is not known is not zero, and not the one of before.
            for queue in QUEUES {
                show(queue, [f64::NAN; 4], f64::NAN);
            }
        }
    }
}

async fn look(database: &Database) -> Result<(), DatabaseError> {
    for row in database.primary().await?.query(&COUNT, &[&QUEUES.as_slice()]).await? {
        let mut counts = [0.0; 4];
        for (column, count) in counts.iter_mut().enumerate() {
            *count = row.try_get::<_, i64>(column + 1)? as f64;
        }
        show(row.try_get(0)?, counts, row.try_get(5)?);
    }
    Ok(())
}

fn show(queue: &str, counts: [f64; 4], oldest: f64) {
    for (state, count) in STATES.into_iter().zip(counts) {
        metrics::gauge!("jobs_queue_depth", "queue" => queue.to_owned(), "state" => state).set(count);
    }
    metrics::gauge!("jobs_oldest_age_seconds", "queue" => queue.to_owned()).set(oldest);
}
