//! Virtual time: seconds since the start of the replay, as timestamps for the engine. Pure.

use jiff::{SignedDuration, Timestamp};

/// The second 0, in seconds since the Unix epoch: late enough for the history of any season.
const BEGIN: f64 = 1e9;

/// The timestamp of a second, which may be negative.
pub(crate) fn instant(second: f64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs_f64(BEGIN + second)
}
