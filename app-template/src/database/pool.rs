//! A bounded number of sessions to one server, and what a wait for one costs. I/O: PostgreSQL.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{self, Object, PoolConfig, QueueMode, Status, Timeouts};
use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::{Config, Row};

use super::args::DatabaseArgs;
use super::error::{DatabaseError, OpenError};
use super::query::{Parameters, Query};
use super::session::{Session, Sessions};

/// Longer than a connection attempt may take.
const CREATE: Duration = Duration::from_secs(2);

/// How much later than the statement's own limit a server may answer. It says itself when that limit is reached; one
/// that hangs says nothing.
const SLACK: Duration = Duration::from_secs(1);

/// Connections to one server or one set of alike ones.
#[derive(Debug)]
pub(super) struct Pool {
    name: &'static str,
    sessions: managed::Pool<Sessions>,
    patience: Duration,
    wait: Histogram,
    usage: Histogram,
    timeouts: Counter,
}

impl Pool {
    /// `name` is `write` or `read`. Connects when a connection is first asked for.
    pub(super) fn open(
        name: &'static str,
        config: Config,
        size: usize,
        args: &DatabaseArgs,
    ) -> Result<Self, OpenError> {
        let sessions = managed::Pool::builder(Sessions::new(name, config)?)
            .config(PoolConfig {
                max_size: size,
                timeouts: Timeouts {
                    wait: Some(args.database_acquire_timeout),
                    create: Some(CREATE),
                    recycle: None,
                },
                // The one used last: its server process is warm, and the others grow old and go.
                queue_mode: QueueMode::Lifo,
            })
            .runtime(Runtime::Tokio1)
            .build()?;
        let of_pool = "db_client_connection_pool_name";
        let timeouts = counter!("db_client_connection_timeouts_total", of_pool => name);
        timeouts.absolute(0);
        let pool = Self {
            name,
            sessions,
            patience: args.database_statement_timeout + SLACK,
            wait: histogram!("db_client_connection_wait_time_seconds", of_pool => name),
            usage: histogram!("db_client_connection_use_time_seconds", of_pool => name),
            timeouts,
        };
        pool.show();
        Ok(pool)
    }

    /// A connection, after at most the acquire timeout and the time to open it.
    pub(super) async fn get(&self) -> Result<Connection, DatabaseError> {
        let begun = Instant::now();
        let got = self.sessions.get().await;
        let since = Instant::now();
        self.wait.record(since - begun);
        let session = got.map_err(|error| {
            let error = DatabaseError::of_pool(self.name, error);
            if matches!(error, DatabaseError::Busy(_)) {
                self.timeouts.increment(1);
            }
            error
        })?;
        Ok(Connection { session, usage: self.usage.clone(), patience: self.patience, since, _permit: None })
    }

    pub(super) fn status(&self) -> Status {
        self.sessions.status()
    }

    /// Connections beyond a smaller size go when they come back.
    pub(super) fn resize(&self, size: usize) {
        self.sessions.resize(size);
    }

    /// Sets the gauges to what the pool is now.
    pub(super) fn show(&self) {
        show(self.name, &self.status());
    }
}

/// Sets the gauges of a pool.
pub(super) fn show(name: &'static str, status: &Status) {
    let used = status.size.saturating_sub(status.available);
    for (state, count) in [("idle", status.available), ("used", used)] {
        metrics::gauge!(
            "db_client_connection_count",
            "db_client_connection_pool_name" => name,
            "db_client_connection_state" => state,
        )
        .set(count as f64);
    }
    metrics::gauge!("db_client_connection_max", "db_client_connection_pool_name" => name)
        // Connections beyond a smaller size are open until they come back.
        .set(status.max_size.max(status.size) as f64);
    metrics::gauge!("db_client_connection_pending_requests", "db_client_connection_pool_name" => name)
        .set(status.waiting as f64);
}

/// The one connection of a request; it goes back to its pool when dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) session: Object<Sessions>,
    usage: Histogram,
    /// How long an answer is waited for.
    patience: Duration,
    since: Instant,
    /// A place among the reads that the primary answers for a replica.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Keeps `permit` for as long as the connection is in use.
    pub(super) fn holding(mut self, permit: OwnedSemaphorePermit) -> Self {
        self._permit = Some(permit);
        self
    }

    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// All rows.
    pub(crate) async fn query(
        &self,
        query: &Query,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let client = &self.session.client;
        let rows = async {
            let statement = client.prepare_cached(query.text).await?;
            client.query(&statement, parameters).await
        };
        self.run(query, rows).await
    }

    /// Runs `statement`, measured as `query`, and notes on the session if it turns out that its server cannot be used.
    pub(super) async fn run<T>(
        &self,
        query: &Query,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, DatabaseError> {
        let outcome = query.measured(self.patience, statement).await;
        if matches!(outcome, Err(DatabaseError::Unreachable(_))) {
            self.session.is_useless.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// Whether its server has been seen not to be usable.
    pub(super) fn is_useless(&self) -> bool {
        self.session.is_useless.load(Ordering::Relaxed)
    }

    /// The first row, if there is any.
    pub(crate) async fn first(
        &self,
        query: &Query,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, DatabaseError> {
        Ok(self.query(query, parameters).await?.into_iter().next())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.usage.record(self.since.elapsed());
    }
}

pub(super) fn describe() {
    describe_gauge!("db_client_connection_count", "Connections of a pool, by state.");
    describe_gauge!("db_client_connection_max", "Most connections that a pool may open.");
    describe_gauge!("db_client_connection_pending_requests", "Requests that wait for a connection.");
    describe_counter!(
        "db_client_connection_timeouts_total",
        "Requests that waited for a connection in vain."
    );
    describe_histogram!("db_client_connection_wait_time_seconds", Unit::Seconds, "Wait for a connection.");
    describe_histogram!(
        "db_client_connection_use_time_seconds",
        Unit::Seconds,
        "How long a connection was kept."
    );
    describe_histogram!("db_client_connection_create_time_seconds", Unit::Seconds, "Opening a connection.");
}
