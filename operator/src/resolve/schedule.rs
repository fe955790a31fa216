//! Schedules, in the types of the engine. Pure.

use super::invalid::Problems;
use super::path::Path;
use super::scaling::MOST_REPLICAS;
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
        if from.as_ref().zip(to.as_ref()).is_some_and(|(from, to)| to.comes_with(from)) {
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
