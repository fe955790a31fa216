//! Spans of time with a floor of their own, in the types of the engine. Pure.

use super::invalid::Problems;
use super::path::Path;
use super::scaling::MOST_REPLICAS;
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Weekday};
use jiff::ToSpan;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use scalableapp_crds as api;
use scalableapp_engine::bounds::cron::CronLine;
use scalableapp_engine::bounds::schedule::{Schedule, time_zone};
use std::collections::BTreeSet;

/// Resolves the schedules of a service.
pub(super) fn resolve(
    written: Option<&[api::Schedule]>,
    path: Path<'_>,
    problems: &mut Problems,
) -> Vec<Schedule> {
    let list = Path::Field(&path, "schedules");
    let mut names = BTreeSet::new();
    let mut schedules = Vec::new();
    for one in written.unwrap_or_default() {
        let item = Path::Item(&list, &one.name);
        if !names.insert(&one.name) {
            problems.refuse(item, "give each schedule a name of its own");
        }
        if !(1..=MOST_REPLICAS).contains(&one.min_replicas) {
            problems.refuse(Path::Field(&item, "minReplicas"), format!("use 1 to {MOST_REPLICAS}"));
        }
        let zone = time_zone(&one.time_zone).unwrap_or_else(|invalid| {
            problems.refuse(Path::Field(&item, "timeZone"), invalid.to_string());
            TimeZone::UTC
        });
        let from = line(&one.from, Path::Field(&item, "from"), problems);
        let to = line(&one.to, Path::Field(&item, "to"), problems);
        if from.is_some() && to.is_some() && ends_whenever_it_begins(&one.from, &one.to) {
            let sentence = "let to come at another time than from: a schedule that ends when it begins never takes effect";
            problems.refuse(item, sentence);
        }
        schedules.extend(
            from.zip(to).map(|(from, to)| Schedule::new(one.name.clone(), zone, from, to, one.min_replicas)),
        );
    }
    schedules
}

fn line(text: &str, path: Path<'_>, problems: &mut Problems) -> Option<CronLine> {
    CronLine::parse(text).map_err(|invalid| problems.refuse(path, invalid.to_string())).ok()
}

/// Whether `to` comes at every time of `from`, however the two are written.
fn ends_whenever_it_begins(from: &str, to: &str) -> bool {
    let parser =
        CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).sloppy_ranges(true).build();
    let (Ok(from), Ok(to)) = (parser.parse(from), parser.parse(to)) else { return false };
    let is_on = |cron: &Cron, day: Date| {
        let [month, of_month, weekday] = [day.month(), day.day(), day.weekday().to_sunday_zero_offset()]
            .map(|part| part.unsigned_abs().into());
        let weekday = Weekday::from_days_from_sunday(weekday);
        cron.pattern.month_match(month).is_ok_and(|is_month| is_month)
            && cron.pattern.day_match(day.year().into(), month, of_month, weekday).is_ok_and(|is_day| is_day)
    };
    let is_minute = |cron: &Cron, minute| cron.pattern.minute_match(minute).is_ok_and(|is_minute| is_minute);
    let is_hour = |cron: &Cron, hour| cron.pattern.hour_match(hour).is_ok_and(|is_hour| is_hour);
    // Within 28 years every date falls on every weekday.
    let mut days = date(2001, 1, 1).series(1.day()).take_while(|day| day.year() < 2029);
    (0..60).all(|minute| !is_minute(&from, minute) || is_minute(&to, minute))
        && (0..24).all(|hour| !is_hour(&from, hour) || is_hour(&to, hour))
        && days.all(|day| !is_on(&from, day) || is_on(&to, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_that_ends_when_it_begins_is_found_however_it_is_written() {
        for (from, to) in [
            ("0 8 * * *", "0 8 * * *"),
            ("0 8 * * *", "00 08 * * *"),
            ("0 8 * * *", "0  8 */1 1-12 *"),
            ("0 8 * * 1-5", "0 8 * * MON-FRI"),
            ("0 8 * * 0", "0 8 * * 7"),
            ("0 8 * * 1", "0 8 * * *"),
            ("0 8,9 1 1 *", "0 * 1 JAN *"),
        ] {
            assert!(ends_whenever_it_begins(from, to), "{from} to {to}");
        }
        for (from, to) in [
            ("0 8 * * 1-5", "0 18 * * 1-5"),
            ("0 8 * * *", "0 8 * * 1"),
            ("0 8 * * 1", "0 8 * * 2"),
            ("0 8 1 * 1", "0 8 1 * *"),
            ("*/5 8 * * *", "0 8 * * *"),
            ("0 0 29 2 *", "0 0 1 3 *"),
        ] {
            assert!(!ends_whenever_it_begins(from, to), "{from} to {to}");
        }
    }
}
