//! The steps of the schema, and whether a server has them. I/O: PostgreSQL.

use super::pool::Connection;
use super::query::Query;

static APPLIED: Query = Query::new("SELECT public.migrations", "SELECT name FROM public.migrations");

/// A step of the schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Told apart by it: two steps have two names.
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// Whether the server of this connection has every step. A replica has them later than the primary.
pub(super) async fn has_all(connection: &Connection, steps: &[Step]) -> bool {
    connection.query(&APPLIED, &[]).await.is_ok_and(|rows| {
        let names: Vec<String> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
        steps.iter().all(|step| names.iter().any(|applied| applied == step.name))
    })
}
