//! The statements that cost the server most, if it counts them (pg_stat_statements). I/O: PostgreSQL.

use std::collections::BTreeSet;
use std::time::Duration;

use metrics::{Unit, describe_gauge};
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Row;

use super::error::DatabaseError;
use super::query::Query;
use super::servers::Database;

const EVERY: Duration = Duration::from_secs(15);

/// No more statements than this ever become series of one process, whatever comes and goes among the top ones.
const MOST: usize = 40;

/// The extension alone is not enough: its library must be in `shared_preload_libraries`, which its setting tells.
static IS_THERE: Query = Query::new(
    "SELECT pg_extension",
    "SELECT FROM pg_catalog.pg_extension
     WHERE extname = 'pg_stat_statements' AND current_setting('pg_stat_statements.max', true) IS NOT NULL",
);

/// Added up over users. The text has `$1` in the place of every value; that of commands may hold values as they were
/// given, passwords included, so they are left out.
static TOP: Query = Query::new(
    "SELECT pg_stat_statements",
    "SELECT queryid::text, left(regexp_replace(min(query), '\\s+', ' ', 'g'), 120), sum(calls)::bigint,
        sum(total_exec_time) / 1000, sum(rows)::bigint
     FROM pg_stat_statements
     WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND queryid IS NOT NULL AND query ~* '^\\s*(select|insert|update|delete|merge|with)\\M'
     GROUP BY queryid ORDER BY sum(total_exec_time) DESC LIMIT 10",
);

/// What the server counted of one statement.
struct Statement {
    id: String,
    text: String,
    calls: i64,
    seconds: f64,
    rows: i64,
}

/// Exports the top statements for as long as the process lives.
pub(super) async fn run(database: Database) {
    describe_gauge!("db_statement_calls_total", "Runs of a statement, from all clients.");
    describe_gauge!(
        "db_statement_seconds_total",
        Unit::Seconds,
        "Time that the server spent on a statement."
    );
    describe_gauge!("db_statement_rows_total", "Rows that a statement returned or changed.");
    database.migrated().await;
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
        let statement = Statement::read(&row)?;
        if shown.contains(&statement.id) || shown.len() < MOST {
            statement.show();
            shown.insert(statement.id);
        }
    }
    Ok(())
}

impl Statement {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            text: row.try_get(1)?,
            calls: row.try_get(2)?,
            seconds: row.try_get(3)?,
            rows: row.try_get(4)?,
        })
    }

    /// As gauges: the server's counts begin anew at a reset and on another server, and a counter of this process
    /// would ignore whatever is lower than before.
    fn show(&self) {
        let labels = [("queryid", self.id.clone()), ("query", self.text.clone())];
        metrics::gauge!("db_statement_calls_total", &labels).set(self.calls as f64);
        metrics::gauge!("db_statement_rows_total", &labels).set(self.rows as f64);
        metrics::gauge!("db_statement_seconds_total", &labels).set(self.seconds);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_count_that_began_anew_is_shown_as_it_is() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let counted = |calls| Statement {
            id: "7".to_owned(),
            text: "SELECT $1".to_owned(),
            calls,
            seconds: 0.5,
            rows: calls,
        };
        metrics::with_local_recorder(&recorder, || {
            counted(100).show();
            counted(3).show();
        });
        let shown = recorder.handle().render();
        for series in ["calls", "rows"] {
            let sample = format!("db_statement_{series}_total{{queryid=\"7\",query=\"SELECT $1\"}} 3\n");
            assert!(shown.contains(&sample), "{sample} in\n{shown}");
        }
    }
}
