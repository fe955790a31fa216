//! Which reads a replica may answer. I/O: PostgreSQL.
//!
//! The URL of the replicas may lead to several servers that are not equally far. What counts is therefore asked on
//! the connection that will read, and remembered with it: a position only grows, so that most reads ask nothing.

use std::time::{Duration, Instant};

use metrics::{Counter, Unit, counter, describe_counter, describe_gauge, describe_histogram};
use tokio::time::sleep;
use tokio_postgres::Config;
use tokio_postgres::types::PgLsn;

use super::args::DatabaseArgs;
use super::error::{DatabaseError, OpenError};
use super::observed::Observed;
use super::pool::{Connection, Pool};
use super::query::Query;
use super::session::{READ_URL, config, config_at};
use super::steps::{self, Step};
use crate::endpoint::Endpoint;
use crate::position::{Position, ReadAfter};

/// How old the memory of a connection's position may be when a read has no position to wait for.
const MEMORY: Duration = Duration::from_millis(500);

/// The first pause between two looks at a replica that is waited for; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(2);

/// Works on a replica, and on a primary that was put, or has been promoted, in the place of one.
///
/// A replica learns of a new timeline in its control file at its next restartpoint: until then its reads with a
/// position go to the primary, which is slower and never wrong.
static REPLAYED: Query = Query::new(
    "SELECT pg_last_wal_replay_lsn",
    "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END,
            CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())::text
                 ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int::text END",
);

/// The servers that may answer reads.
#[derive(Debug)]
pub(super) struct Replicas {
    pool: Pool,
    max_lag: Duration,
    wait: Duration,
    /// Without them all a replica is not read from.
    steps: &'static [Step],
}

/// Why no replica answers a read.
#[derive(Debug)]
pub(super) struct Behind {
    /// A word for the label `reason`.
    pub(super) reason: &'static str,
    /// A connection that shows an older state, where that harms nobody.
    pub(super) stale: Option<Connection>,
}

impl Behind {
    fn without_stale(reason: &'static str) -> Self {
        Self { reason, stale: None }
    }
}

impl Replicas {
    /// Those of the URL, if there is one.
    pub(super) fn of_url(args: &DatabaseArgs, steps: &'static [Step]) -> Result<Option<Self>, OpenError> {
        let Some(url) = &args.read_url else { return Ok(None) };
        let config = config(url.reveal(), READ_URL, args.database_statement_timeout)?;
        Self::open(config, args.read_pool, args, steps).map(Some)
    }

    /// Those at `endpoint`, where all else is as the primary's `url` says, with at most `size` connections.
    pub(super) fn at(
        endpoint: &Endpoint,
        url: &str,
        size: usize,
        args: &DatabaseArgs,
        steps: &'static [Step],
    ) -> Result<Self, OpenError> {
        Self::open(config_at(endpoint, url, args.database_statement_timeout)?, size, args, steps)
    }

    fn open(
        config: Config,
        size: usize,
        args: &DatabaseArgs,
        steps: &'static [Step],
    ) -> Result<Self, OpenError> {
        let pool = Pool::open("read", config, size, args)?;
        Ok(Self { pool, max_lag: args.database_max_lag, wait: args.database_replay_wait, steps })
    }

    /// Whether one of them answers and has the schema.
    pub(super) async fn answer(&self) -> bool {
        match self.pool.get().await {
            Ok(connection) => steps::has_all(&connection, self.steps).await,
            Err(_) => false,
        }
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A connection that shows what `after` asks for, and is not too far behind if that is nothing.
    ///
    /// # Errors
    /// When all connections are in use: then the replicas have too little room, and the primary would soon have too.
    pub(super) async fn connection(
        &self,
        after: ReadAfter,
        observed: &Observed,
    ) -> Result<Result<Connection, Behind>, DatabaseError> {
        if after == ReadAfter::Everything {
            return Ok(Err(Behind::without_stale("ryw_token")));
        }
        let mut connection = match self.pool.get().await {
            Ok(connection) => connection,
            Err(busy @ DatabaseError::Busy(_)) => return Err(busy),
            Err(error) => {
                tracing::debug!(%error, "the replicas cannot be reached");
                return Ok(Err(Behind::without_stale("unreachable")));
            }
        };
        if !connection.session().has_schema {
            if !steps::has_all(&connection, self.steps).await {
                return Ok(Err(Behind::without_stale("lag")));
            }
            connection.session().has_schema = true;
        }
        let suits = match after {
            // No replica names a timeline that was left, and each that is not too far behind has what is left of it.
            ReadAfter::At(place) if !observed.has_left(place, self.max_lag) => {
                self.wait_for(&mut connection, place).await
            }
            _ => self.is_recent(&mut connection, observed).await,
        };
        Ok(match suits {
            Ok(true) => Ok(connection),
            Ok(false) if after != ReadAfter::Nothing => Err(Behind::without_stale("ryw_token")),
            Ok(false) => Err(Behind { reason: "lag", stale: Some(connection) }),
            Err(error) => {
                tracing::debug!(%error, "a replica does not say how far it is");
                Err(Behind::without_stale("unreachable"))
            }
        })
    }

    /// Looks until the replica shows `after`, for at most the time that a read may wait.
    async fn wait_for(&self, connection: &mut Connection, after: Position) -> Result<bool, DatabaseError> {
        if connection.session().replayed.is_some_and(|(at, _)| at.shows(after)) {
            return Ok(true);
        }
        let begun = Instant::now();
        let mut pause = PAUSE;
        loop {
            let replayed = ask(connection).await?;
            let left = self.wait.saturating_sub(begun.elapsed());
            let is_hopeless = left.is_zero() || replayed.timeline != after.timeline;
            if replayed.shows(after) || is_hopeless {
                metrics::histogram!("db_replay_wait_seconds").record(begun.elapsed());
                return Ok(replayed.shows(after));
            }
            sleep(pause.min(left)).await;
            pause *= 2;
        }
    }

    /// Whether the replica is within the lag that is allowed. With nothing known of the primary any replica is.
    async fn is_recent(
        &self,
        connection: &mut Connection,
        observed: &Observed,
    ) -> Result<bool, DatabaseError> {
        let known = connection.session().replayed.filter(|(_, asked)| asked.elapsed() < MEMORY);
        let replayed = match known {
            Some((replayed, _)) => replayed,
            None => ask(connection).await?,
        };
        Ok(observed.lag(replayed).is_none_or(|lag| lag <= self.max_lag))
    }
}

/// Asks the server of this connection how far it is, and remembers it.
pub(super) async fn ask(connection: &mut Connection) -> Result<Position, DatabaseError> {
    let row = connection.first(&REPLAYED, &[]).await?;
    let position = row
        .and_then(|row| {
            let lsn: PgLsn = row.try_get::<_, Option<PgLsn>>(0).ok()??;
            let timeline = row.try_get::<_, String>(1).ok()?.parse().ok()?;
            Some(Position { timeline, lsn: lsn.into() })
        })
        .ok_or_else(|| DatabaseError::Unreachable("the replica has replayed nothing yet".to_owned()))?;
    connection.session().replayed = Some((position, Instant::now()));
    Ok(position)
}

/// `db_reads_routed_total`: where reads went, and why there.
#[derive(Debug)]
pub(super) struct Routed([(&'static str, &'static str, Counter); 7]);

impl Routed {
    /// All series are shown from now on.
    pub(super) fn new() -> Self {
        let ways = [
            ("replica", "default"),
            ("replica", "ryw_token"),
            ("replica", "stale"),
            ("primary", "no_replica"),
            ("primary", "ryw_token"),
            ("primary", "lag"),
            ("primary", "unreachable"),
        ];
        Self(ways.map(|(target, reason)| {
            let counter = counter!("db_reads_routed_total", "target" => target, "reason" => reason);
            counter.absolute(0);
            (target, reason, counter)
        }))
    }

    /// Counts a read.
    pub(super) fn count(&self, target: &'static str, reason: &'static str) {
        let counted = self.0.iter().find(|way| (way.0, way.1) == (target, reason));
        counted.iter().for_each(|(_, _, counter)| counter.increment(1));
    }
}

pub(super) fn describe() {
    describe_counter!("db_reads_routed_total", "Reads by the server that answered, and why that one.");
    describe_gauge!("db_replica_lag_seconds", Unit::Seconds, "For how long the primary has been further.");
    describe_histogram!("db_replay_wait_seconds", Unit::Seconds, "Wait for a replica to show an own write.");
    // Naming it shows it.
    let _ = metrics::histogram!("db_replay_wait_seconds");
}
