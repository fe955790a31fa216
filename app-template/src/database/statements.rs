//! The statements that cost the server most, if it counts them (pg_stat_statements). I/O: PostgreSQL.

use std::collections::BTreeSet;
use std::time::Duration;

use metrics::{Unit, describe_counter};
use tokio::time::{MissedTickBehavior, interval};

use super::{Database, DatabaseError, Query};

const EVERY: Duration = Duration::from_secs(15);

/// No more statements than this ever become series of one process, whatever comes and goes among the top ones.
const MOST: usize = 40;

static IS_THERE: Query = Query::new(
    "SELECT pg_extension",
    "SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_stat_statements'",
);

/// The text has `$1` in the place of every value.
static TOP: Query = Query::new(
    "SELECT pg_stat_statements",
    "SELECT queryid::text, left(regexp_replace(query, '\\s+', ' ', 'g'), 120), calls, total_exec_time / 1000, rows
     FROM pg_stat_statements
     WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND queryid IS NOT NULL
     ORDER BY total_exec_time DESC LIMIT 10",
);

/// Exports the top statements for as long as the process lives.
pub(super) async fn run(database: Database) {
    describe_counter!("db_statement_calls_total", "Runs of a statement, from all clients.");
    describe_counter!(
        "db_statement_seconds_total",
        Unit::Seconds,
        "Time that the server spent on a statement."
    );
    describe_counter!("db_statement_rows_total", "Rows that a statement returned or changed.");
    let mut shown = BTreeSet::new();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = export(&database, &mut shown).await {
            tracing::debug!(%error, "the top statements are not known");
        }
    }
}

async fn export(database: &Database, shown: &mut BTreeSet<String>) -> Result<(), DatabaseError> {
    let connection = database.primary().await?;
    if connection.first(&IS_THERE, &[]).await?.is_none() {
        return Ok(());
    }
    for row in connection.query(&TOP, &[]).await? {
        let (id, text): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if shown.len() == MOST && !shown.contains(&id) {
            continue;
        }
        shown.insert(id.clone());
        let (calls, rows): (i64, i64) = (row.try_get(2)?, row.try_get(4)?);
        let labels = [("queryid", id), ("query", text)];
        metrics::counter!("db_statement_calls_total", &labels).absolute(calls.cast_unsigned());
        metrics::counter!("db_statement_rows_total", &labels).absolute(rows.cast_unsigned());
        // A gauge, because a counter of this crate holds whole numbers only.
        metrics::gauge!("db_statement_seconds_total", &labels).set(row.try_get::<_, f64>(3)?);
    }
    Ok(())
}
