//! The instants at which the slices of a canary end. Pure.
//!
//! They depend on the begin of the rollout alone, so a new process counts the same slices as the one before it.

use crate::observe::prometheus::client::Span;
use jiff::Timestamp;

/// Seconds before the rollout in which the stable revision is counted, to learn its noise.
pub const PAST: i64 = 3600;
/// A rollout that lasts longer than two of these is judged by what was counted since a later multiple of them: the memory
/// of the process is limited.
const PERIOD: i64 = 12 * 3600;

/// The slices of one rollout. Slice 1 is the first of the rollout, and those up to 0 are before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceGrid {
    /// The begin of slice 1, in seconds since 1970.
    begin: i64,
    /// Seconds of a slice.
    seconds: i64,
}

impl SliceGrid {
    /// The slices of this many seconds, for a rollout that began then.
    #[must_use]
    pub fn new(begun: Timestamp, now: Timestamp, seconds: u32) -> Self {
        let (begun, seconds) = (begun.as_second(), i64::from(seconds.max(1)));
        let periods = (now.as_second() - begun).max(0) / PERIOD;
        Self { begin: begun + (periods - 1).max(0) * PERIOD, seconds }
    }

    /// The first slice that is counted.
    #[must_use]
    pub fn first(self) -> i64 {
        1 - PAST / self.seconds
    }

    /// When a slice begins, in seconds since 1970.
    #[must_use]
    pub fn begin_of(self, slice: i64) -> i64 {
        self.end_of(slice - 1)
    }

    /// When a slice ends, in seconds since 1970.
    #[must_use]
    pub fn end_of(self, slice: i64) -> i64 {
        self.begin + slice * self.seconds
    }

    /// The newest slice that is complete. A scrape carries the time at which it began and ends at most an interval later;
    /// a slice has at least two intervals.
    #[must_use]
    pub fn newest(self, now: Timestamp) -> i64 {
        let settled = now.as_second() - (self.seconds + 1) / 2;
        (settled - self.begin).div_euclid(self.seconds)
    }

    /// The slice that ends at this time in seconds since 1970.
    #[must_use]
    pub fn ending_at(self, seconds: f64) -> i64 {
        ((seconds - self.begin as f64) / self.seconds as f64).round() as i64
    }

    /// The ends of this many slices.
    #[must_use]
    pub fn span(self, from: i64, count: u32) -> Span {
        Span { from_s: self.end_of(from), count, step_ms: self.seconds * 1000 }
    }

    /// Seconds of a slice.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;

    const BEGUN: Timestamp = Timestamp::UNIX_EPOCH;

    fn after(hours: i64) -> SliceGrid {
        SliceGrid::new(BEGUN, BEGUN + hours.hours(), 15)
    }

    #[test]
    fn a_slice_is_read_when_its_last_scrapes_are_over() {
        let grid = after(0);
        let newest = |seconds: i64| grid.newest(BEGUN + seconds.seconds());
        assert_eq!([newest(0), newest(7), newest(8), newest(22), newest(23)], [-1, -1, 0, 0, 1]);
        assert_eq!((grid.begin_of(1), grid.end_of(1), grid.first()), (0, 15, -239));
        assert_eq!(grid.span(grid.first(), 240).until_ms(), 0);
    }

    #[test]
    fn a_long_rollout_is_judged_by_its_last_half_day_to_day() {
        let begins: Vec<i64> =
            [0, 12, 23, 24, 35, 36, 100].map(|hours| after(hours).begin_of(1) / 3600).into();
        assert_eq!(begins, [0, 0, 0, 12, 12, 24, 84]);
    }
}
