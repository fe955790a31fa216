//! What is remembered of requests and jobs that are over, and for how long. I/O: PostgreSQL.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::database::{Database, DatabaseError, Query};

const EVERY: Duration = Duration::from_secs(30);

/// In small parts, so that no statement takes long; dead jobs stay until somebody has looked at them.
static JOBS: Query = Query::new(
    "DELETE jobs.jobs",
    "DELETE FROM jobs.jobs WHERE id IN (
         SELECT id FROM jobs.jobs WHERE state = 'done' AND finished_at < now() - interval '7 days'
         ORDER BY finished_at LIMIT 1000 FOR UPDATE SKIP LOCKED) RETURNING 1",
);

/// Nobody repeats a request a day later.
static KEYS: Query = Query::new(
    "DELETE requests.keys",
    "DELETE FROM requests.keys WHERE (scope, key) IN (
         SELECT scope, key FROM requests.keys WHERE created_at < now() - interval '1 day'
         ORDER BY created_at LIMIT 1000 FOR UPDATE SKIP LOCKED) RETURNING 1",
);

/// Deletes what is old for as long as the process lives.
///
/// Every process with a database does: without a worker keys come all the same.
pub(crate) async fn run(database: Database) {
    database.migrated().await;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = forget(&database).await {
            tracing::debug!(%error, "nothing was deleted, will try again");
        }
    }
}

/// Until there is nothing left: what comes faster than a part at a time would pile up.
async fn forget(database: &Database) -> Result<(), DatabaseError> {
    for query in [&JOBS, &KEYS] {
        // Each on a connection of its own, so that requests have their turn.
        while !database.primary().await?.query(query, &[]).await?.is_empty() {}
    }
    Ok(())
}
