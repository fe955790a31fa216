//! What became of a job. I/O: PostgreSQL.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::database::{Connection, DatabaseError, Query};

static BY_ID: Query = Query::new(
    "SELECT jobs.jobs",
    "SELECT queue, state, attempts, result, enqueued_at, finished_at FROM jobs.jobs WHERE id = $1",
);

/// A job as a server shows it.
#[derive(Debug)]
pub(crate) struct JobStatus {
    pub(crate) queue: String,
    /// `available`, `running`, `done` or `dead`.
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) result: Option<Value>,
    pub(crate) enqueued_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
}

impl JobStatus {
    /// Whether nothing will change any more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "done" | "dead")
    }
}

/// None if this server shows no such job.
pub(crate) async fn status(connection: &Connection, id: Uuid) -> Result<Option<JobStatus>, DatabaseError> {
    let Some(row) = connection.first(&BY_ID, &[&id]).await? else { return Ok(None) };
    Ok(Some(JobStatus {
        queue: row.try_get("queue")?,
        state: row.try_get("state")?,
        attempts: row.try_get("attempts")?,
        result: row.try_get("result")?,
        enqueued_at: row.try_get("enqueued_at")?,
        finished_at: row.try_get("finished_at")?,
    }))
}
