//! How far a replica is behind, in time. No I/O.
//!
//! The age of the last transaction that a replica replayed says nothing on a primary that is at rest. So the lag is
//! taken as the time for which the primary has been further than the replica is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::position::Position;

/// Two minutes at two looks a second.
const LONGEST: usize = 256;

/// Where the primary was, and since when.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Rising in both.
    seen: VecDeque<(Instant, Position)>,
    /// The primary's timeline, and when it was first seen.
    timeline: Option<(u32, Instant)>,
}

impl History {
    /// The primary is at `position` now.
    pub(super) fn record(&mut self, now: Instant, position: Position) {
        if self.timeline.is_none_or(|(timeline, _)| timeline != position.timeline) {
            self.seen.clear();
            self.timeline = Some((position.timeline, now));
        }
        if self.seen.back().is_some_and(|(_, last)| last.lsn >= position.lsn) {
            return;
        }
        if self.seen.len() == LONGEST {
            self.seen.pop_front();
        }
        self.seen.push_back((now, position));
    }

    /// Whether the primary has been on a later timeline than that of `place` for more than `time`.
    pub(super) fn has_left(&self, place: Position, now: Instant, time: Duration) -> bool {
        let is_left =
            |(timeline, since)| timeline > place.timeline && now.saturating_duration_since(since) > time;
        self.timeline.is_some_and(is_left)
    }

    /// For how long the primary has been further than `replayed`; at least that if it is longer than remembered, and
    /// none if nothing is known of the primary.
    ///
    /// Whatever the timeline: for some minutes after a failover a replica that follows still names the old one, and
    /// one that does not follow is soon passed.
    pub(super) fn lag(&self, now: Instant, replayed: Position) -> Option<Duration> {
        self.seen.back()?;
        let missing = self.seen.iter().find(|(_, position)| position.lsn > replayed.lsn);
        Some(missing.map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(*since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lsn: u64) -> Position {
        Position { timeline: 1, lsn }
    }

    #[test]
    fn a_replica_of_a_primary_at_rest_does_not_lag() {
        let (mut history, begun) = (History::default(), Instant::now());
        assert_eq!(history.lag(begun, at(7)), None);
        for second in 0..60 {
            history.record(begun + Duration::from_secs(second), at(7));
        }
        assert_eq!(history.lag(begun + Duration::from_secs(60), at(7)), Some(Duration::ZERO));
    }

    #[test]
    fn lag_is_the_time_since_the_primary_passed_the_replica() {
        let (mut history, begun) = (History::default(), Instant::now());
        for second in 0..1000 {
            history.record(begun + Duration::from_secs(second), at(second));
        }
        let now = begun + Duration::from_secs(1000);
        assert_eq!(history.lag(now, at(995)), Some(Duration::from_secs(4)));
        assert_eq!(history.lag(now, at(5000)), Some(Duration::ZERO));
        assert_eq!(history.lag(now, at(0)), Some(Duration::from_secs(256)), "as long as is remembered");
    }

    #[test]
    fn after_a_failover_a_replica_that_does_not_follow_falls_behind() {
        let (mut history, begun) = (History::default(), Instant::now());
        history.record(begun, at(100));
        // The new primary lacks the end of the old one's log.
        let promoted = |lsn| Position { timeline: 2, lsn };
        history.record(begun, promoted(90));
        assert_eq!(history.lag(begun, promoted(90)), Some(Duration::ZERO));
        assert_eq!(history.lag(begun, at(90)), Some(Duration::ZERO), "follows, and does not say so yet");
        history.record(begun + Duration::from_secs(1), promoted(120));
        assert_eq!(history.lag(begun + Duration::from_secs(9), at(100)), Some(Duration::from_secs(8)));
    }

    #[test]
    fn a_timeline_is_left_once_the_primary_has_been_on_a_later_one_for_a_while() {
        let (mut history, begun) = (History::default(), Instant::now());
        let has_left = |history: &History, timeline, seconds| {
            let place = Position { timeline, lsn: 7 };
            history.has_left(place, begun + Duration::from_secs(seconds), Duration::from_secs(5))
        };
        assert!(!has_left(&history, 1, 100), "nothing is known");
        history.record(begun, at(7));
        assert!(!has_left(&history, 1, 100), "it is on it");
        history.record(begun + Duration::from_secs(100), Position { timeline: 2, lsn: 5 });
        history.record(begun + Duration::from_secs(104), Position { timeline: 2, lsn: 6 });
        assert!(!has_left(&history, 1, 104));
        assert!(has_left(&history, 1, 106));
        assert!(!has_left(&history, 2, 106) && !has_left(&history, 3, 106), "it does not go back");
    }
}
