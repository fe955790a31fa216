//! How many connections the primary admits, and who has them. I/O: PostgreSQL.
//!
//! The sessions of an app are those whose `application_name` has the same start, up to its first slash. Whoever may not
//! read the sessions of other roles still sees their names.

use std::time::Duration;

use metrics::describe_gauge;
use tokio::time::{MissedTickBehavior, interval};

use super::error::DatabaseError;
use super::query::Query;
use super::servers::Database;

const EVERY: Duration = Duration::from_secs(2);

/// Sessions of no database belong to the server itself. What a session is for is hidden from roles without the right to
/// see it, so it then counts.
static CONNECTIONS: Query = Query::new(
    "SELECT pg_stat_activity",
    "SELECT current_setting('max_connections')::bigint
            - current_setting('superuser_reserved_connections')::bigint
            - coalesce(current_setting('reserved_connections', true)::bigint, 0),
        count(*) FILTER (WHERE is_own), count(*) FILTER (WHERE NOT is_own)
     FROM (
        SELECT split_part(application_name, '/', 1)
                = split_part(current_setting('application_name'), '/', 1) AS is_own
        FROM pg_catalog.pg_stat_activity
        WHERE datid IS NOT NULL AND usesysid IS NOT NULL
            AND coalesce(backend_type, 'client backend') = 'client backend'
     ) AS sessions",
);

/// Exports them for as long as the process lives.
pub(super) async fn run(database: Database) {
    describe_gauge!("db_server_connections", "Sessions of clients at the server of a database, by owner.");
    describe_gauge!("db_server_connections_max", "Connections that the server of a database admits.");
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A number that is not known is none: the last one would look fresh.
        let [most, app, others] = counted(&database).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the connections of the server are not known");
            [f64::NAN; 3]
        });
        metrics::gauge!("db_server_connections_max", "database" => "main").set(most);
        for (owner, sessions) in [("app", app), ("others", others)] {
            metrics::gauge!("db_server_connections", "database" => "main", "owner" => owner).set(sessions);
        }
    }
}

async fn counted(database: &Database) -> Result<[f64; 3], DatabaseError> {
    let row = database.primary().await?.first(&CONNECTIONS, &[]).await?;
    let row = row.ok_or_else(|| DatabaseError::Unreachable("no sessions were shown".to_owned()))?;
    let number = |at: usize| row.try_get::<_, i64>(at).map(|number| number as f64);
    Ok([number(0)?, number(1)?, number(2)?])
}
