//! The only place that reads a clock. I/O: the machine's wall and monotonic clocks.
//!
//! The wall clock is for times that people and other machines read. Lengths of time (Lease, intervals, backoff) use the
//! monotonic clock, which nobody can set.

use jiff::Timestamp;
use tokio::time::Instant;

/// The time of day.
#[must_use]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// The monotonic clock. It is tokio's, so that tests can pause and advance it.
#[must_use]
pub fn monotonic() -> Instant {
    Instant::now()
}
