//! A statement with a name, and how long each run of it takes. No I/O of its own.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics::{Histogram, histogram};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;

use super::error::DatabaseError;
use crate::store_duration::STORE_DURATION;

/// What fills the places `$1`, `$2`, ... of a statement.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A statement of the program, with the name under which it is measured.
#[derive(Debug)]
pub(crate) struct Query {
    summary: &'static str,
    pub(super) text: &'static str,
    /// The series of the runs that succeed, named at the first of them.
    succeeded: OnceLock<Histogram>,
}

impl Query {
    /// `summary` is the operation and what it is about, for example `SELECT catalog.products`.
    pub(crate) const fn new(summary: &'static str, text: &'static str) -> Self {
        Self { summary, text, succeeded: OnceLock::new() }
    }

    /// Runs `statement`, for at most `patience`, and records how long it took.
    pub(super) async fn measured<T>(
        &self,
        patience: Duration,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, DatabaseError> {
        let begun = Instant::now();
        let outcome = match timeout(patience, statement).await {
            Ok(outcome) => outcome.map_err(DatabaseError::from),
            Err(_) => Err(DatabaseError::Unreachable("the server does not answer".to_owned())),
        };
        let took = begun.elapsed();
        match &outcome {
            Ok(_) => self.succeeded.get_or_init(|| self.duration("")).record(took),
            Err(error) => self.duration(error.kind()).record(took),
        }
        outcome
    }

    fn duration(&self, error: &'static str) -> Histogram {
        histogram!(
            STORE_DURATION,
            "db_system_name" => "postgresql",
            "db_operation_name" => self.summary.split(' ').next().unwrap_or_default(),
            "db_query_summary" => self.summary,
            "error_type" => error,
        )
    }
}
