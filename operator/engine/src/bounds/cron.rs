//! Cron lines with five fields, and their times. Pure.
//!
//! Daylight saving follows what cron daemons do. A line that names its hours and minutes runs once at each of them: where
//! the clock jumps over one, at the first instant after the gap; where the clock repeats it, at the first of the two. A
//! line with `*` for its hour or minute, or for more than 24 times a day, follows the clock as it is.
//!
//! `croner` reads a line and knows its days. The search for a time is our own, because it must end: a line that occurs
//! less than once in eight years is refused, and no search goes further than that.

use croner::Weekday;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, DateTime, date};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// Five cron fields: minute, hour, day of month, month, day of week.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CronLine {
    text: String,
    cron: croner::Cron,
    /// A bit for each hour of the day.
    hours: u64,
    /// A bit for each minute of the hour.
    minutes: u64,
    /// Whether it runs once at each of its times, whatever the clock does.
    is_fixed: bool,
}

/// Why a schedule is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// Not five cron fields.
    #[error(
        "\"{0}\" is not five cron fields (minute, hour, day of month, month, day of week) such as \"0 8 * * 1-5\""
    )]
    NotCron(String),
    /// A range whose end is before its beginning.
    #[error("\"{line}\" has a range that runs backwards: write {instead} for {range}")]
    Backwards {
        /// The whole line.
        line: String,
        /// The range.
        range: String,
        /// Equivalent ranges.
        instead: String,
    },
    /// A field with invalid syntax.
    #[error(
        "\"{0}\" has a field that cron does not have: use minutes 0-59, hours 0-23, days 1-31, months 1-12 or JAN-DEC, days of week 0-7 or SUN-SAT"
    )]
    UnknownField(String),
    /// A day that no month has.
    #[error("\"{0}\" never occurs: name a day that the month has")]
    Never(String),
    /// A day that occurs in hardly any year.
    #[error("\"{0}\" occurs less than once in eight years: name a day that every leap year has")]
    Rare(String),
    /// Not a name of the IANA database.
    #[error("\"{0}\" is not an IANA time zone such as Europe/Zurich or UTC")]
    UnknownTimeZone(String),
}

/// The most times of day for which a line runs once at each.
const MOST_TIMES: u32 = 24;

/// Days of eight years. A line that occurs in each of [`EIGHT_YEARS`] is never absent for twice as long.
const RARE_DAYS: i32 = 8 * 366;

/// First days of periods of eight years. Within 28 years every date falls on every weekday.
const EIGHT_YEARS: [Date; 4] = [date(2001, 1, 1), date(2009, 1, 1), date(2017, 1, 1), date(2025, 1, 1)];

/// How far the search looks ahead. Later times are searched when this has passed.
pub(crate) const AHEAD: SignedDuration = SignedDuration::from_hours(24);

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

impl CronLine {
    /// Reads five cron fields. `0/30` is `0-59/30`, as in Quartz and in Kubernetes' CronJob.
    ///
    /// # Errors
    /// When the text is invalid, or hardly any day ever matches it.
    pub fn parse(text: &str) -> Result<Self, InvalidSchedule> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, ..] = fields[..] else { return Err(InvalidSchedule::NotCron(text.to_owned())) };
        if fields.len() != 5 {
            return Err(InvalidSchedule::NotCron(text.to_owned()));
        }
        if let Some((range, instead)) = backwards(&fields) {
            return Err(InvalidSchedule::Backwards { line: text.to_owned(), range, instead });
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .sloppy_ranges(true)
            .build();
        let cron = parser.parse(text).map_err(|_| InvalidSchedule::UnknownField(text.to_owned()))?;
        let bits = |count, matches: &dyn Fn(u32) -> bool| {
            (0..count).filter(|value| matches(*value)).fold(0, |bits, value| bits | 1 << value)
        };
        let hours: u64 = bits(24, &|hour| cron.pattern.hour_match(hour).unwrap_or(false));
        let minutes: u64 = bits(60, &|minute| cron.pattern.minute_match(minute).unwrap_or(false));
        let any = |field: &str| field.contains('*') || field.starts_with('/');
        let is_fixed = !any(minute) && !any(hour) && hours.count_ones() * minutes.count_ones() <= MOST_TIMES;
        let line = Self { text: text.to_owned(), cron, hours, minutes, is_fixed };
        let comes = EIGHT_YEARS.map(|first| {
            let end = first.checked_add(8.years()).and_then(Date::yesterday);
            end.is_ok_and(|end| line.next_day(first, end).is_some())
        });
        match comes {
            [true, true, true, true] => Ok(line),
            [false, false, false, false] => Err(InvalidSchedule::Never(line.text)),
            _ => Err(InvalidSchedule::Rare(line.text)),
        }
    }

    /// Whether it occurs at every time of another line, however the two are written.
    pub fn comes_with(&self, other: &Self) -> bool {
        // Within 28 years every date falls on every weekday.
        let mut days = date(2001, 1, 1).series(1.day()).take_while(|day| day.year() < 2029);
        other.minutes & !self.minutes == 0
            && other.hours & !self.hours == 0
            && days.all(|day| !other.is_on_day(day) || self.is_on_day(day))
    }

    /// The last occurrence until `now`; `None` if that is longer ago than allowed.
    pub(crate) fn last(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if !self.is_fixed {
            return self.last_by_clock(now, zone);
        }
        // A clock that is set back over midnight repeats a day.
        let mut from = now.to_zoned(zone.clone()).date().tomorrow().ok()?;
        let end = from.checked_sub((2 * RARE_DAYS).days()).ok()?;
        loop {
            let day = self.previous_day(from, end)?;
            let last = self.times_on(day, zone).filter(|time| *time <= now).max();
            if last.is_some() {
                return last;
            }
            from = day.yesterday().ok()?;
        }
    }

    /// The next time after `now`, if it is no further than [`AHEAD`].
    pub(crate) fn next(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if !self.is_fixed {
            return self.next_by_clock(now, zone);
        }
        let first = now.to_zoned(zone.clone()).date().yesterday().ok()?;
        first
            .series(1.day())
            .take(4)
            .filter(|day| self.is_on_day(*day))
            .find_map(|day| self.times_on(day, zone).filter(|time| *time > now && *time <= now + AHEAD).min())
    }

    /// Its occurrences on one of its days.
    fn times_on(&self, day: Date, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
        let times = ones(self.hours).flat_map(|hour| ones(self.minutes).map(move |minute| (hour, minute)));
        times.filter_map(move |(hour, minute)| {
            let local = day.at(hour, minute, 0, 0);
            match zone.to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
                AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
                AmbiguousOffset::Gap { after, .. } => {
                    let before_the_gap = after.to_timestamp(local).ok()?;
                    zone.following(before_the_gap).next().map(|transition| transition.timestamp())
                }
            }
        })
    }

    /// The last occurrence of one of its minutes. Between two transitions the clock runs evenly.
    fn last_by_clock(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let first = now.checked_sub(SignedDuration::from_hours(24 * 2 * i64::from(RARE_DAYS))).ok()?;
        let mut until = now;
        while until >= first {
            let offset = zone.to_offset(until);
            let transition = zone.preceding(until.checked_add(1.second()).ok()?).next();
            let begins = transition.map_or(first, |transition| transition.timestamp().max(first));
            if let Some(local) = self.last_local(offset.to_datetime(until), offset.to_datetime(begins)) {
                return offset.to_timestamp(local).ok();
            }
            until = begins.checked_sub(1.second()).ok()?;
        }
        None
    }

    fn next_by_clock(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let end = now.checked_add(AHEAD).ok()?;
        let mut from = now.checked_add(1.second()).ok()?;
        while from <= end {
            let offset = zone.to_offset(from);
            let transition = zone.following(from).next().map(|transition| transition.timestamp());
            let ends = transition.map_or(end, |ends| ends.checked_sub(1.second()).unwrap_or(ends).min(end));
            if let Some(local) = self.next_local(offset.to_datetime(from), offset.to_datetime(ends)) {
                return offset.to_timestamp(local).ok();
            }
            from = ends.checked_add(1.second()).ok()?;
        }
        None
    }

    /// The last of its minutes until `until`, and not before `begins`.
    fn last_local(&self, until: DateTime, begins: DateTime) -> Option<DateTime> {
        let mut day = self.previous_day(until.date(), begins.date())?;
        let mut time = (day == until.date()).then(|| self.last_time(until.hour(), until.minute())).flatten();
        if time.is_none() {
            if day == until.date() {
                day = self.previous_day(day.yesterday().ok()?, begins.date())?;
            }
            time = self.last_time(23, 59);
        }
        let (hour, minute) = time?;
        Some(day.at(hour, minute, 0, 0)).filter(|local| *local >= begins)
    }

    /// The first of its minutes from `from` on, and not after `ends`.
    fn next_local(&self, from: DateTime, ends: DateTime) -> Option<DateTime> {
        let whole = if from.second() == 0 { from } else { from.checked_add(1.minute()).ok()? };
        let mut day = self.next_day(whole.date(), ends.date())?;
        let mut time = (day == whole.date()).then(|| self.next_time(whole.hour(), whole.minute())).flatten();
        if time.is_none() {
            if day == whole.date() {
                day = self.next_day(day.tomorrow().ok()?, ends.date())?;
            }
            time = self.next_time(0, 0);
        }
        let (hour, minute) = time?;
        Some(day.at(hour, minute, 0, 0)).filter(|local| *local <= ends)
    }

    /// The last of its times of day until this one.
    fn last_time(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        let earlier = |until: i8| ones(self.hours).rfind(move |one| *one < until);
        let within = ones(self.minutes).rfind(|one| *one <= minute);
        let this_hour = ones(self.hours).any(|one| one == hour).then_some(hour).zip(within);
        this_hour.or_else(|| earlier(hour).zip(ones(self.minutes).next_back()))
    }

    /// The first of its times of day from this one on.
    fn next_time(&self, hour: i8, minute: i8) -> Option<(i8, i8)> {
        let within = ones(self.minutes).find(|one| *one >= minute);
        let this_hour = ones(self.hours).any(|one| one == hour).then_some(hour).zip(within);
        this_hour.or_else(|| ones(self.hours).find(|one| *one > hour).zip(ones(self.minutes).next()))
    }

    fn is_on_day(&self, day: Date) -> bool {
        let [month, of_month, weekday] = [day.month(), day.day(), day.weekday().to_sunday_zero_offset()]
            .map(|part| part.unsigned_abs().into());
        let weekday = Weekday::from_days_from_sunday(weekday);
        self.is_in_month(day)
            && self
                .cron
                .pattern
                .day_match(day.year().into(), month, of_month, weekday)
                .is_ok_and(|is_day| is_day)
    }

    fn is_in_month(&self, day: Date) -> bool {
        self.cron.pattern.month_match(day.month().unsigned_abs().into()).is_ok_and(|is_month| is_month)
    }

    /// The first of its days from `day` to `end`.
    fn next_day(&self, mut day: Date, end: Date) -> Option<Date> {
        while day <= end {
            if !self.is_in_month(day) {
                day = day.last_of_month().tomorrow().ok()?;
            } else if self.is_on_day(day) {
                return Some(day);
            } else {
                day = day.tomorrow().ok()?;
            }
        }
        None
    }

    /// The last of its days from `day` back to `end`.
    fn previous_day(&self, mut day: Date, end: Date) -> Option<Date> {
        while day >= end {
            if !self.is_in_month(day) {
                day = day.first_of_month().yesterday().ok()?;
            } else if self.is_on_day(day) {
                return Some(day);
            } else {
                day = day.yesterday().ok()?;
            }
        }
        None
    }
}

/// The places of the bits that are set, from the lowest on.
fn ones(bits: u64) -> impl DoubleEndedIterator<Item = i8> {
    (0..60).filter(move |place| bits >> place & 1 == 1)
}

/// A range that runs backwards, and the two ranges that mean the same.
fn backwards(fields: &[&str]) -> Option<(String, String)> {
    let bounds = [("0", "59"), ("0", "23"), ("1", "31"), ("1", "12"), ("0", "6")];
    let names: [&[&str]; 2] = [
        &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
        &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    ];
    for (place, field) in fields.iter().enumerate() {
        let names = place.checked_sub(3).and_then(|place| names.get(place)).copied().unwrap_or_default();
        let number = |text: &str| {
            let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
            // Months begin at 1, days of the week at 0.
            named.map(|index| index + usize::from(place == 3)).or_else(|| text.parse().ok())
        };
        for range in field.split(',') {
            let (ends, step) = range
                .split_once('/')
                .map_or((range, String::new()), |(ends, step)| (ends, format!("/{step}")));
            let Some((from, to)) = ends.split_once('-') else { continue };
            // Sunday is 7, too.
            let is_last_day = place == 4 && to.eq_ignore_ascii_case("SUN");
            if number(from).zip(number(to)).is_some_and(|(from, to)| from > to) && !is_last_day {
                let (first, last) = bounds[place.min(4)];
                return Some((range.to_owned(), format!("{from}-{last}{step},{first}-{to}{step}")));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CronLine, String> {
        CronLine::parse(text).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn what_cannot_be_followed_is_refused_in_words() {
        for text in ["", "8", "0 8 * *", "0 0 8 * * *", "@daily", "@reboot"] {
            assert_eq!(CronLine::parse(text), Err(InvalidSchedule::NotCron(text.to_owned())));
        }
        for text in ["60 8 * * *", "0 24 * * *", "0 8 * * funday", "0 8 32 * *", "*/0 8 * * *", "@ 8 * * *"] {
            assert_eq!(CronLine::parse(text), Err(InvalidSchedule::UnknownField(text.to_owned())), "{text}");
        }
        for text in ["0 0 30 2 *", "0 0 31 4,6 *"] {
            assert_eq!(CronLine::parse(text), Err(InvalidSchedule::Never(text.to_owned())));
        }
        assert!(CronLine::parse("0 0 29 2 *").is_ok());
    }

    #[test]
    fn a_line_that_hardly_ever_comes_around_is_refused() {
        for text in ["0 0-23 29 2 +1", "* * 29 2 +FRI", "0 0 29 2 +1#5"] {
            assert_eq!(CronLine::parse(text), Err(InvalidSchedule::Rare(text.to_owned())), "{text}");
        }
        assert!(CronLine::parse("0 0 31 12 +1").is_ok());
    }

    #[test]
    fn a_range_that_runs_backwards_is_refused_with_the_one_that_means_it() {
        for (text, range, instead) in [
            ("0 22-6 * * *", "22-6", "22-23,0-6"),
            ("0 8 * * SAT-MON", "SAT-MON", "SAT-6,0-MON"),
            ("0 8 * nov-feb *", "nov-feb", "nov-12,1-feb"),
            ("0 0,20-4/2 * * *", "20-4/2", "20-23/2,0-4/2"),
        ] {
            let words = format!("\"{text}\" has a range that runs backwards: write {instead} for {range}");
            assert_eq!(parse(text), Err(words));
            assert!(parse(&text.replace(range, instead)).is_ok(), "{instead}");
        }
        assert!(parse("0 8 * * FRI-SUN").is_ok() && parse("0 8 * * 5-7").is_ok());
    }

    #[test]
    fn a_step_may_begin_anywhere() {
        let (one, other) =
            (parse("0/30 8 * * *").expect("a line"), parse("0-59/30 8 * * *").expect("a line"));
        assert_eq!((one.hours, one.minutes, one.is_fixed), (other.hours, other.minutes, true));
    }

    /// The same times by croner's own search, which ends for lines that occur often.
    #[test]
    fn the_search_finds_what_croner_finds() {
        let lines = [
            "* * * * *",
            "*/7 * * * *",
            "0 * * * *",
            "59 23 * * *",
            "0 0 1 1 *",
            "30 2 * * *",
            "15 1-3 * * 0",
            "*/15 8-18 * * 1-5",
            "0 12 L * *",
            "0 9 15W * *",
            "0 9 * * 5L",
            "5 4 13 * +5",
            "*/10 3 1 3 *",
        ];
        for zone in ["UTC", "Europe/Zurich", "Australia/Lord_Howe"] {
            let zone = TimeZone::get(zone).expect("a zone");
            for text in lines {
                let line = CronLine::parse(text).expect("a line");
                let mut now: Timestamp = "2026-03-28T00:00:00Z".parse().expect("a time");
                for step in 0..40 {
                    now += SignedDuration::from_secs(7 * 3600 + 1741 * (step % 7));
                    let zoned = now.to_zoned(zone.clone());
                    let last = line.cron.find_previous_occurrence(&zoned, true).expect("a time").timestamp();
                    assert_eq!(line.last(now, &zone), Some(last), "{text} until {zoned}");
                    let next = line.cron.find_next_occurrence(&zoned, false).expect("a time").timestamp();
                    let next = Some(next).filter(|next| *next <= now + AHEAD);
                    if line.hours.count_ones() * line.minutes.count_ones() == 1 || !line.is_fixed {
                        assert_eq!(line.next(now, &zone), next, "{text} after {zoned}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_line_that_comes_with_another_is_found_however_the_two_are_written() {
        let line = |text: &str| CronLine::parse(text).expect("a cron line");
        for (from, to) in [
            ("0 8 * * *", "0 8 * * *"),
            ("0 8 * * *", "00 08 * * *"),
            ("0 8 * * *", "0  8 */1 1-12 *"),
            ("0 8 * * 1-5", "0 8 * * MON-FRI"),
            ("0 8 * * 0", "0 8 * * 7"),
            ("0 8 * * 1", "0 8 * * *"),
            ("0 8,9 1 1 *", "0 * 1 JAN *"),
        ] {
            assert!(line(to).comes_with(&line(from)), "{from} to {to}");
        }
        for (from, to) in [
            ("0 8 * * 1-5", "0 18 * * 1-5"),
            ("0 8 * * *", "0 8 * * 1"),
            ("0 8 * * 1", "0 8 * * 2"),
            ("0 8 1 * 1", "0 8 1 * *"),
            ("*/5 8 * * *", "0 8 * * *"),
            ("0 0 29 2 *", "0 0 1 3 *"),
        ] {
            assert!(!line(to).comes_with(&line(from)), "{from} to {to}");
        }
    }
}
