//! The only place that reads a clock. I/O: the machine's wall and monotonic clocks.
//!
//! The wall clock dates what people and other machines read. Whatever is measured as a length of time (lease,
//! ages, intervals) uses the monotonic clock, which nobody can set. Both functions are the ones that the lint
//! `disallowed_methods` sends everybody else to.
#![allow(clippy::disallowed_methods)]

use jiff::Timestamp;
use tokio::time::Instant;

/// The time of day.
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// The monotonic clock, which tests of tokio can pause and advance.
pub fn monotonic() -> Instant {
    Instant::now()
}
