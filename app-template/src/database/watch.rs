//! Looking at both servers a few times a second: are they there, and how far. I/O: PostgreSQL.

use std::time::{Duration, Instant};

use deadpool::managed::Status;
use tokio::time::{MissedTickBehavior, interval};

use super::error::DatabaseError;
use super::observed::Seen;
use super::pool::{self, Pool};
use super::replicas;
use super::servers::Database;
use crate::position::Position;

const EVERY: Duration = Duration::from_millis(500);

/// Looks for as long as the process lives.
pub(super) async fn run(database: Database) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut had_replicas = false;
    loop {
        ticks.tick().await;
        look_at_primary(&database).await;
        let replicas = database.replicas();
        match &replicas {
            Some(replicas) => look_at_replica(&database, replicas.pool()).await,
            None if had_replicas => show_no_replica(&database),
            None => {}
        }
        had_replicas = replicas.is_some();
    }
}

async fn look_at_primary(database: &Database) {
    let pool = &database.0.primary;
    let position = async { replicas::ask(&mut pool.get().await?).await }.await;
    pool.show();
    let mut seen = database.0.observed.servers();
    if let Ok(position) = position {
        seen.history.record(Instant::now(), position);
    }
    tell("primary", &mut seen.primary, &position);
}

async fn look_at_replica(database: &Database, pool: &Pool) {
    let position = async { replicas::ask(&mut pool.get().await?).await }.await;
    pool.show();
    let mut seen = database.0.observed.servers();
    tell("replica", &mut seen.replica, &position);
    // A replica that cannot be asked has no lag, rather than none: absent is not zero.
    seen.replica.lag = position.ok().and_then(|at| seen.history.lag(Instant::now(), at));
    metrics::gauge!("db_replica_lag_seconds").set(seen.replica.lag.map_or(f64::NAN, |lag| lag.as_secs_f64()));
}

/// Of replicas that are no longer read from nothing is known.
fn show_no_replica(database: &Database) {
    database.0.observed.servers().replica = Seen::default();
    pool::show("read", &Status { max_size: 0, size: 0, available: 0, waiting: 0 });
    metrics::gauge!("db_replica_lag_seconds").set(f64::NAN);
}

/// Notes whether the server answers, and logs when that changes. A pool without a free connection says nothing.
fn tell(server: &'static str, seen: &mut Seen, outcome: &Result<Position, DatabaseError>) {
    match outcome {
        Ok(_) if !seen.reachable => tracing::info!(server, "the database answers"),
        Err(DatabaseError::Busy(_)) => return,
        Err(error) if seen.reachable => tracing::warn!(server, %error, "the database does not answer"),
        _ => {}
    }
    seen.reachable = outcome.is_ok();
}
