//! A write to the primary, and where in the log it ended. I/O: PostgreSQL.

use metrics::Counter;
use tokio_postgres::types::PgLsn;
use tokio_postgres::{Row, SimpleQueryMessage};

use super::error::DatabaseError;
use super::pool::Connection;
use super::query::{Parameters, Query};
use crate::position::Position;

static BEGIN: Query = Query::new("BEGIN", "BEGIN");
static ROLLBACK: Query = Query::new("ROLLBACK", "ROLLBACK");

static NOW: Query = Query::new(
    "SELECT pg_current_wal_insert_lsn",
    "SELECT pg_current_wal_insert_lsn(), left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)",
);

/// Committing and asking for the place takes one round trip. The insert position is past the commit record, and
/// the name of its segment begins with the timeline.
static COMMIT: Query = Query::new(
    "COMMIT",
    "COMMIT; SELECT pg_current_wal_insert_lsn(), left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)",
);

/// Statements that take effect together. It is rolled back if it is dropped before [`Transaction::commit`].
#[derive(Debug)]
pub(crate) struct Transaction {
    /// Taken when the transaction ends.
    connection: Option<Connection>,
    counted: Vec<Counter>,
}

impl Transaction {
    pub(super) async fn begin(connection: Connection) -> Result<Self, DatabaseError> {
        let transaction = Self { connection: Some(connection), counted: Vec::new() };
        let connection = transaction.connection()?;
        connection.run(&BEGIN, connection.session.client.batch_execute(BEGIN.text)).await?;
        Ok(transaction)
    }

    /// All rows.
    pub(crate) async fn query(
        &self,
        query: &Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.connection()?.query(query, parameters).await
    }

    /// The first row, if there is any.
    pub(crate) async fn first(
        &self,
        query: &Query,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, DatabaseError> {
        self.connection()?.first(query, parameters).await
    }

    /// How many rows the statement changed.
    pub(crate) async fn execute(
        &self,
        query: &Query,
        parameters: Parameters<'_>,
    ) -> Result<u64, DatabaseError> {
        let connection = self.connection()?;
        let client = &connection.session.client;
        let changed = async {
            let statement = client.prepare_cached(query.text).await?;
            client.execute(&statement, parameters).await
        };
        connection.run(query, changed).await
    }

    /// Where the log ends now: past everything that was committed before.
    pub(crate) async fn position(&self) -> Result<Position, DatabaseError> {
        let connection = self.connection()?;
        let now = connection.run(&NOW, connection.session.client.simple_query(NOW.text)).await?;
        position(&now).ok_or_else(|| DatabaseError::Unreachable(format!("{} was not answered", NOW.text)))
    }

    /// Counts something once it is committed, and not at all if it never is.
    pub(crate) fn count_on_commit(&mut self, counter: Counter) {
        self.counted.push(counter);
    }

    /// Makes the writes durable and says where in the log they end.
    ///
    /// After an error it is not known whether they are: the answer may have been lost on its way.
    pub(crate) async fn commit(mut self) -> Result<Position, DatabaseError> {
        let ended = {
            let connection = self.connection()?;
            connection.run(&COMMIT, connection.session.client.simple_query(COMMIT.text)).await?
        };
        self.connection = None;
        for counter in &self.counted {
            counter.increment(1);
        }
        position(&ended)
            .ok_or_else(|| DatabaseError::Unreachable("COMMIT was not answered as expected".to_owned()))
    }

    fn connection(&self) -> Result<&Connection, DatabaseError> {
        self.connection
            .as_ref()
            .ok_or_else(|| DatabaseError::Unreachable("the transaction is over".to_owned()))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if connection.is_useless() {
            // It is closed in place of being used again, and its server rolls back.
            return;
        }
        // Its locks go now, not when somebody next uses the connection; until then nobody else gets it.
        let rolled_back = async move {
            if connection
                .run(&ROLLBACK, connection.session.client.batch_execute(ROLLBACK.text))
                .await
                .is_err()
            {
                tracing::debug!("the connection of a transaction broke before it was rolled back");
            }
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(rolled_back);
        }
    }
}

fn position(messages: &[SimpleQueryMessage]) -> Option<Position> {
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })?;
    let lsn: PgLsn = row.get(0)?.parse().ok()?;
    Some(Position { timeline: u32::from_str_radix(row.get(1)?, 16).ok()?, lsn: lsn.into() })
}
