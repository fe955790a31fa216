//! Looking at both servers a few times a second: are they there, and how far. I/O: PostgreSQL.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::error::DatabaseError;
use super::lag::History;
use super::{Database, replicas};
use crate::position::Position;

const EVERY: Duration = Duration::from_millis(500);

/// What was last seen of a server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) reachable: bool,
    pub(super) lag: Option<Duration>,
}

/// What was last seen of both.
#[derive(Debug, Default)]
pub(super) struct Observed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    history: History,
    primary: Seen,
    replica: Seen,
}

impl Observed {
    /// How far a server at `replayed` is behind the primary, if that is known.
    pub(super) fn lag(&self, replayed: Position) -> Option<Duration> {
        self.state().history.lag(Instant::now(), replayed)
    }

    /// Whether the primary has been on a later timeline than that of `place` for more than `time`.
    pub(super) fn has_left(&self, place: Position, time: Duration) -> bool {
        self.state().history.has_left(place, Instant::now(), time)
    }

    pub(super) fn primary(&self) -> Seen {
        self.state().primary
    }

    pub(super) fn replica(&self) -> Seen {
        self.state().replica
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for as long as the process lives.
pub(super) async fn run(database: Database) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        look_at_primary(&database).await;
        look_at_replica(&database).await;
    }
}

async fn look_at_primary(database: &Database) {
    let pool = &database.0.primary;
    let position = async { replicas::ask(&mut pool.get().await?).await }.await;
    pool.show();
    let mut state = database.0.observed.state();
    if let Ok(position) = position {
        state.history.record(Instant::now(), position);
    }
    tell("primary", &mut state.primary, &position);
}

async fn look_at_replica(database: &Database) {
    let Some(replicas) = &database.0.replicas else { return };
    let pool = replicas.pool();
    let position = async { replicas::ask(&mut pool.get().await?).await }.await;
    pool.show();
    let mut state = database.0.observed.state();
    tell("replica", &mut state.replica, &position);
    // A replica that cannot be asked has no lag, rather than none: absent is not zero.
    state.replica.lag = position.ok().and_then(|at| state.history.lag(Instant::now(), at));
    metrics::gauge!("db_replica_lag_seconds")
        .set(state.replica.lag.map_or(f64::NAN, |lag| lag.as_secs_f64()));
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
