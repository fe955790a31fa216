//! Spans of time in which a component has a higher floor, written as two cron lines in an IANA time zone. Pure.
//!
//! A span is on at an instant if `from` came around later than `to` did. So spans may cross midnight, weekends and
//! months, and need no memory. Where both came at one instant, the span is off: it may have shrunk to nothing where the
//! clock jumped over it.
//!
//! Daylight saving follows what cron daemons do. A line that names its hours and minutes runs once at each of them: where
//! the clock jumps over one, at the first instant after the gap; where the clock repeats it, at the first of the two. A
//! line with `*` for its hour or minute, or for more than 24 times a day, follows the clock as it is.
//!
//! Time zones come from the copy of the IANA database in this binary, since a container image may have none.

use croner::Weekday;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, TimestampRound, ToSpan, Unit};
use serde::{Deserialize, Serialize};

/// A span of time with a floor of its own.
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
    /// The fewest replicas meanwhile, at least 1.
    pub min_replicas: i32,
}

/// Five cron fields: minute, hour, day of month, month, day of week.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CronLine {
    text: String,
    cron: croner::Cron,
    /// A line for each time of day, if there are several: to croner only a line with one hour and one minute is one that
    /// runs once. They are read when they are needed, because read each takes kilobytes.
    times: Vec<String>,
}

/// The most times of day that each have a line of their own.
const MOST_TIMES: usize = 24;

impl From<CronLine> for String {
    fn from(line: CronLine) -> Self {
        line.text
    }
}

impl TryFrom<String> for CronLine {
    type Error = InvalidSchedule;

    fn try_from(text: String) -> Result<Self, InvalidSchedule> {
        Self::parse(&text)
    }
}

/// Why a schedule cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// Not five cron fields.
    #[error(
        "\"{0}\" is not five cron fields (minute, hour, day of month, month, day of week) such as \"0 8 * * 1-5\""
    )]
    NotCron(String),
    /// A day that no month has.
    #[error("\"{0}\" never comes around: name a day that the month has")]
    Never(String),
    /// Not a name of the IANA database.
    #[error("\"{0}\" is not an IANA time zone such as Europe/Zurich or UTC")]
    UnknownTimeZone(String),
}

impl CronLine {
    /// Reads five cron fields.
    ///
    /// # Errors
    /// When the text is something else, or no day ever matches it.
    pub fn parse(text: &str) -> Result<Self, InvalidSchedule> {
        // Nicknames such as @daily are fields in other words, but @reboot is not; nobody needs them for a span.
        let cron = five_fields(text).filter(|_| !text.contains('@'));
        let cron = cron.ok_or_else(|| InvalidSchedule::NotCron(text.to_owned()))?;
        if !has_a_day(&cron) {
            return Err(InvalidSchedule::Never(text.to_owned()));
        }
        let times = times_of_day(text, &cron).filter(|times| times.len() > 1).unwrap_or_default();
        Ok(Self { text: text.to_owned(), cron, times })
    }

    /// The last time that it came around until `now`; nothing if it never did.
    fn last(&self, now: Timestamp, time_zone: &TimeZone) -> Option<Timestamp> {
        let now = now.to_zoned(time_zone.clone());
        let last = |line: &croner::Cron| Some(line.find_previous_occurrence(&now, true).ok()?.timestamp());
        if self.times.is_empty() {
            return last(&self.cron);
        }
        self.times.iter().filter_map(|time| last(&five_fields(time)?)).max()
    }
}

fn five_fields(text: &str) -> Option<croner::Cron> {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build().parse(text).ok()
}

/// A line for each time of day of one that names them.
fn times_of_day(text: &str, cron: &croner::Cron) -> Option<Vec<String>> {
    let (minute, rest) = text.trim().split_once(char::is_whitespace)?;
    let (hour, days) = rest.trim_start().split_once(char::is_whitespace)?;
    if minute.contains('*') || hour.contains('*') {
        return None;
    }
    let pattern = &cron.pattern;
    let hours = (0..24).filter(|hour| pattern.hour_match(*hour).unwrap_or(false));
    let minutes = (0..60).filter(|minute| pattern.minute_match(*minute).unwrap_or(false));
    let minutes: Vec<u32> = minutes.collect();
    let times = hours.flat_map(|hour| minutes.iter().map(move |minute| format!("{minute} {hour} {days}")));
    let times: Vec<String> = times.collect();
    (times.len() <= MOST_TIMES).then_some(times)
}

/// Whether any day matches; a search for a time would go on to the beginning of all time. Within 28 years every date has
/// fallen on every weekday.
fn has_a_day(cron: &croner::Cron) -> bool {
    let matches = |day: Date| {
        let [month, of_month, weekday] = [day.month(), day.day(), day.weekday().to_sunday_zero_offset()]
            .map(|part| part.unsigned_abs().into());
        let weekday = Weekday::from_days_from_sunday(weekday);
        let pattern = &cron.pattern;
        pattern.month_match(month).is_ok_and(|is_month| is_month)
            && pattern.day_match(day.year().into(), month, of_month, weekday).is_ok_and(|is_day| is_day)
    };
    date(2000, 1, 1).series(1.day()).take(28 * 366).any(matches)
}

/// The time zone of that name.
///
/// # Errors
/// When the IANA database has none.
pub fn time_zone(name: &str) -> Result<TimeZone, InvalidSchedule> {
    TimeZone::get(name).map_err(|_| InvalidSchedule::UnknownTimeZone(name.to_owned()))
}

impl Schedule {
    /// Whether the span is on.
    pub fn is_on(&self, now: Timestamp) -> bool {
        // Cron knows whole seconds only.
        let whole = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
        let now = now.round(whole).unwrap_or(now);
        self.from.last(now, &self.time_zone) > self.to.last(now, &self.time_zone)
    }
}

/// The schedule with the largest floor of those that are on; of equal ones the first.
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
        Schedule {
            name: "span".to_owned(),
            time_zone: time_zone(zone).expect("a time zone"),
            from: CronLine::parse(from).expect("a cron line"),
            to: CronLine::parse(to).expect("a cron line"),
            min_replicas: 6,
        }
    }

    /// The instants, as `2026-03-29T00:59Z`, at which the span switches between two times, looked at every quarter of an hour.
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
    fn what_cannot_be_followed_is_refused_in_words() {
        for text in ["", "8", "0 8 * *", "0 0 8 * * *", "60 8 * * *", "0 8 * * funday", "@daily", "@reboot"] {
            assert_eq!(CronLine::parse(text), Err(InvalidSchedule::NotCron(text.to_owned())));
        }
        for text in ["0 0 30 2 *", "0 0 31 4,6 *"] {
            assert_eq!(CronLine::parse(text), Err(InvalidSchedule::Never(text.to_owned())));
        }
        assert!(CronLine::parse("0 0 29 2 *").is_ok());
        for name in ["Mars/Olympus", "", "CEST"] {
            assert_eq!(time_zone(name), Err(InvalidSchedule::UnknownTimeZone(name.to_owned())));
        }
    }
}
