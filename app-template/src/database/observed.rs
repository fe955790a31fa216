//! What was last seen of both servers. Reads the clock; no other I/O.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::lag::History;
use crate::position::Position;

/// What was last seen of a server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) reachable: bool,
    pub(super) lag: Option<Duration>,
}

/// What was last seen of both.
#[derive(Debug, Default)]
pub(super) struct Observed(Mutex<Servers>);

#[derive(Debug, Default)]
pub(super) struct Servers {
    pub(super) history: History,
    pub(super) primary: Seen,
    pub(super) replica: Seen,
}

impl Observed {
    /// How far a server at `replayed` is behind the primary, if that is known.
    pub(super) fn lag(&self, replayed: Position) -> Option<Duration> {
        self.servers().history.lag(Instant::now(), replayed)
    }

    /// Whether the primary has been on a later timeline than that of `place` for more than `time`.
    pub(super) fn has_left(&self, place: Position, time: Duration) -> bool {
        self.servers().history.has_left(place, Instant::now(), time)
    }

    pub(super) fn primary(&self) -> Seen {
        self.servers().primary
    }

    pub(super) fn replica(&self) -> Seen {
        self.servers().replica
    }

    pub(super) fn servers(&self) -> MutexGuard<'_, Servers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
