//! Schedules: spans of time with higher minimum replicas, given by two cron lines in an IANA time zone. Pure.
//!
//! A span is active if `from` occurred later than `to`. So spans may cross midnight, weekends and months, and need no
//! memory. Where both occurred at the same instant, the span is not active: a clock change may have removed it.
//!
//! The result is cached until it may change: every pass over an app needs it, and a search costs more than the rest of
//! the pass.
//!
//! Time zones come from the copy of the IANA database in this binary, since a container image may have none.

use crate::bounds::cron::{AHEAD, CronLine, InvalidSchedule};
use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// A span of time with its own minimum replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Name, unique within the component.
    pub name: String,
    /// The zone in which both lines are read.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    pub time_zone: TimeZone,
    /// When the span begins.
    pub from: CronLine,
    /// When it ends.
    pub to: CronLine,
    /// The minimum replicas while it is active, at least 1.
    pub min_replicas: i32,
    #[serde(skip)]
    known: Known,
}

/// The cached result. It follows from the other fields, so comparisons ignore it.
#[derive(Debug, Default)]
struct Known(Mutex<Option<ScheduleState>>);

/// Whether a span is active from one instant until before another.
#[derive(Clone, Copy, Debug)]
struct ScheduleState {
    from: Timestamp,
    until: Timestamp,
    is_on: bool,
}

impl Clone for Known {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Known {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The time zone of that name.
///
/// # Errors
/// When the IANA database has none.
pub fn time_zone(name: &str) -> Result<TimeZone, InvalidSchedule> {
    TimeZone::get(name).map_err(|_| InvalidSchedule::UnknownTimeZone(name.to_owned()))
}

impl Schedule {
    /// A span between two lines, both read in the zone.
    #[must_use]
    pub fn new(name: String, time_zone: TimeZone, from: CronLine, to: CronLine, min_replicas: i32) -> Self {
        Self { name, time_zone, from, to, min_replicas, known: Known::default() }
    }

    /// Whether the span is active.
    pub fn is_on(&self, now: Timestamp) -> bool {
        let mut known = self.known.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some(ScheduleState { from, until, is_on }) if from <= now && now < until => is_on,
            _ => known.insert(self.state(now)).is_on,
        }
    }

    fn state(&self, now: Timestamp) -> ScheduleState {
        // Cron knows whole seconds only.
        let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
        let now = now.round(whole).unwrap_or(now);
        let [from, to] = [&self.from, &self.to];
        let next = [from, to].into_iter().filter_map(|line| line.next(now, &self.time_zone)).min();
        ScheduleState {
            from: now,
            until: next.unwrap_or(now + AHEAD),
            is_on: from.last(now, &self.time_zone) > to.last(now, &self.time_zone),
        }
    }
}

/// The active schedule with the largest minimum; of equal ones the first.
pub fn highest(schedules: &[Schedule], now: Timestamp) -> Option<&Schedule> {
    schedules
        .iter()
        .filter(|schedule| schedule.is_on(now))
        .reduce(|best, other| if other.min_replicas > best.min_replicas { other } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(zone: &str, from: &str, to: &str) -> Schedule {
        let [from, to] = [from, to].map(|line| CronLine::parse(line).expect("a cron line"));
        Schedule::new("span".to_owned(), time_zone(zone).expect("a time zone"), from, to, 6)
    }

    /// The instants, as `2026-03-29T00:59Z`, at which the span switches between two times, checked every quarter of an
    /// hour.
    fn switches(schedule: &Schedule, first: &str, last: &str) -> Vec<String> {
        let at = |text: &str| format!("{text}:00Z").parse::<Timestamp>().expect("a time");
        let (mut now, end) = (at(first), at(last));
        let mut was_on = schedule.is_on(now);
        let mut switches = Vec::new();
        while now < end {
            now += jiff::SignedDuration::from_mins(15);
            let is_on = schedule.is_on(now);
            if is_on != was_on {
                let state = if is_on { "on" } else { "off" };
                switches.push(format!("{} {state}", now.strftime("%m-%dT%H:%M")));
            }
            was_on = is_on;
        }
        switches
    }

    #[test]
    fn office_hours_follow_the_wall_clock_through_the_year() {
        let office = schedule("Europe/Zurich", "0 8 * * 1-5", "0 18 * * 1-5");
        // The Friday before the clock goes forward, and the Monday after; the same in autumn.
        assert_eq!(
            switches(&office, "2026-03-27T00:00", "2026-03-31T00:00"),
            ["03-27T07:00 on", "03-27T17:00 off", "03-30T06:00 on", "03-30T16:00 off"]
        );
        assert_eq!(
            switches(&office, "2026-10-23T00:00", "2026-10-27T00:00"),
            ["10-23T06:00 on", "10-23T16:00 off", "10-26T07:00 on", "10-26T17:00 off"]
        );
    }

    #[test]
    fn a_span_crosses_midnight() {
        let night = schedule("America/New_York", "0 22 * * *", "0 6 * * *");
        assert_eq!(
            switches(&night, "2026-07-01T12:00", "2026-07-02T12:00"),
            ["07-02T02:00 on", "07-02T10:00 off"]
        );
        let weekend = schedule("UTC", "0 20 * * FRI", "0 6 * * MON");
        assert_eq!(
            switches(&weekend, "2026-07-01T00:00", "2026-07-08T00:00"),
            ["07-03T20:00 on", "07-06T06:00 off"]
        );
    }

    /// Zurich's clock jumps from 2:00 to 3:00 at 1:00 UTC, New York's at 7:00 UTC, Lord Howe's by half an hour from 2:00 to
    /// 2:30 at 15:30 UTC.
    #[test]
    fn what_begins_or_ends_in_the_gap_of_spring_does_so_right_after_it() {
        let begins = schedule("Europe/Zurich", "30 2 * * *", "0 4 * * *");
        assert_eq!(
            switches(&begins, "2026-03-28T23:00", "2026-03-29T12:00"),
            ["03-29T01:00 on", "03-29T02:00 off"]
        );
        let ends = schedule("America/New_York", "0 1 * * *", "30 2 * * *");
        assert_eq!(
            switches(&ends, "2026-03-08T05:00", "2026-03-08T12:00"),
            ["03-08T06:00 on", "03-08T07:00 off"]
        );
        let half_an_hour = schedule("Australia/Lord_Howe", "15 2 * * *", "0 3 * * *");
        assert_eq!(
            switches(&half_an_hour, "2026-10-03T12:00", "2026-10-04T00:00"),
            ["10-03T15:30 on", "10-03T16:00 off"]
        );
    }

    #[test]
    fn a_line_with_several_times_keeps_each_of_them_when_clocks_change() {
        let ends = schedule("Europe/Zurich", "0 1,13 * * *", "30 2,15 * * *");
        assert_eq!(
            switches(&ends, "2026-03-28T23:00", "2026-03-29T22:00"),
            ["03-29T00:00 on", "03-29T01:00 off", "03-29T11:00 on", "03-29T13:30 off"]
        );
        assert_eq!(
            switches(&ends, "2026-10-24T22:00", "2026-10-25T04:00"),
            ["10-24T23:00 on", "10-25T00:30 off"]
        );
        let begins = schedule("Europe/Zurich", "0 2-3,14 * * *", "0 6,18 * * *");
        assert_eq!(
            switches(&begins, "2026-03-28T23:00", "2026-03-29T10:00"),
            ["03-29T01:00 on", "03-29T04:00 off"]
        );
        let every_hour = schedule("Europe/Zurich", "0 * * * *", "30 * * * *");
        assert_eq!(switches(&every_hour, "2026-10-24T23:45", "2026-10-25T01:45").len(), 4, "as the clock is");
    }

    #[test]
    fn a_span_within_the_gap_does_not_take_place() {
        let lost = schedule("Europe/Zurich", "15 2 * * *", "45 2 * * *");
        assert_eq!(switches(&lost, "2026-03-28T23:00", "2026-03-29T23:00"), [""; 0]);
    }

    /// Zurich's clock repeats 2:00 to 3:00, from 0:00 UTC on; New York's 1:00 to 2:00, from 5:00 UTC on; Lord Howe's 1:30 to
    /// 2:00, from 14:30 UTC on.
    #[test]
    fn what_begins_or_ends_in_the_overlap_of_autumn_does_so_once() {
        let begins = schedule("Europe/Zurich", "30 2 * * *", "0 4 * * *");
        assert_eq!(
            switches(&begins, "2026-10-24T22:00", "2026-10-25T12:00"),
            ["10-25T00:30 on", "10-25T03:00 off"]
        );
        let ends = schedule("America/New_York", "0 0 * * *", "30 1 * * *");
        assert_eq!(
            switches(&ends, "2026-11-01T03:00", "2026-11-01T12:00"),
            ["11-01T04:00 on", "11-01T05:30 off"]
        );
        let half_an_hour = schedule("Australia/Lord_Howe", "45 1 * * *", "0 3 * * *");
        assert_eq!(
            switches(&half_an_hour, "2026-04-04T12:00", "2026-04-05T00:00"),
            ["04-04T14:45 on", "04-04T16:30 off"]
        );
    }

    #[test]
    fn of_overlapping_spans_the_larger_floor_counts() {
        let of = |from: &str, to: &str, min_replicas| Schedule { min_replicas, ..schedule("UTC", from, to) };
        let spans = [of("0 8 * * *", "0 18 * * *", 6), of("0 12 * * *", "0 13 * * *", 9)];
        let floor =
            |time: &str| highest(&spans, time.parse().expect("a time")).map(|schedule| schedule.min_replicas);
        assert_eq!(floor("2026-07-01T11:59:59.9Z"), Some(6));
        assert_eq!(floor("2026-07-01T12:00:00Z"), Some(9));
        assert_eq!(floor("2026-07-01T13:00:00Z"), Some(6));
        assert_eq!(floor("2026-07-01T18:00:00Z"), None);
    }

    #[test]
    fn what_is_remembered_holds_until_the_span_switches() {
        let office = schedule("Europe/Zurich", "0 8 * * 1-5", "0 18 * * 1-5");
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let mut was = None;
        let mut now = at("2026-03-27T00:00:07.5Z");
        while now < at("2026-04-03T00:00:00Z") {
            let fresh = office.clone().is_on(now);
            assert_eq!(office.is_on(now), fresh, "{now}");
            was = was.max(Some(fresh));
            now += jiff::SignedDuration::from_secs(97);
        }
        assert_eq!(was, Some(true));
        let searched = || office.known.0.lock().unwrap().map(|state| state.from);
        let noon = at("2026-04-02T10:00:00Z");
        office.is_on(noon);
        assert!(office.is_on(at("2026-04-02T15:59:59Z")) && searched() == Some(noon), "it is searched once");
        assert!(!office.is_on(at("2026-03-28T12:00:00Z")), "a clock that was set back");
    }

    #[test]
    fn an_unknown_time_zone_is_refused() {
        for name in ["Mars/Olympus", "", "CEST"] {
            assert_eq!(time_zone(name), Err(InvalidSchedule::UnknownTimeZone(name.to_owned())));
        }
    }
}
