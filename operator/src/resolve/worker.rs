//! What only a worker declares: its backlog and its drain. Pure.

use super::app::BacklogSource;
use super::invalid::Problems;
use super::path::Path;
use jiff::SignedDuration;
use scalableapp_crds as api;
use scalableapp_engine::propose::metric::{Backlog, Metric, Target};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Name of the metric of the backlog.
pub(super) const BACKLOG: &str = "backlog";

/// The shortest and the longest time of a backlog or a drain.
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// The metric of the backlog.
pub(super) fn backlog(written: &api::Backlog, path: Path<'_>, problems: &mut Problems) -> Metric {
    let path = Path::Field(&path, "backlog");
    match (&written.queues, &written.queries) {
        (Some(queues), None) => check_queues(queues, path, problems),
        (None, Some(queries)) => check_queries(queries, written.oldest_within.is_some(), path, problems),
        _ => problems.refuse(path, "set exactly one of queues, queries"),
    }
    let concurrency = written.concurrency.unwrap_or(1);
    if !(1..=1000).contains(&concurrency) {
        problems.refuse(Path::Field(&path, "concurrency"), "use 1 to 1000 jobs");
    }
    let mut time = |written: &api::GoDuration, name| time(written, Path::Field(&path, name), problems);
    let drain_within = time(&written.drain_within, "drainWithin");
    let oldest_within = written.oldest_within.as_ref().map(|written| time(written, "oldestWithin"));
    let target = Target::Backlog(Backlog { drain_within, oldest_within, concurrency });
    Metric { name: BACKLOG.to_owned(), target }
}

/// Where the backlog is measured.
pub(super) fn source(written: &api::Backlog) -> Option<BacklogSource> {
    let queues = written.queues.clone().map(BacklogSource::Queues);
    queues.or_else(|| written.queries.clone().map(BacklogSource::Queries))
}

fn check_queues(queues: &[String], path: Path<'_>, problems: &mut Problems) {
    let list = Path::Field(&path, "queues");
    if queues.is_empty() {
        problems.refuse(list, "name at least one queue");
    }
    for (index, queue) in queues.iter().enumerate() {
        if queue.trim().is_empty() || queues[..index].contains(queue) {
            problems.refuse(Path::Index(&list, index), "name each queue once");
        }
    }
}

fn check_queries(queries: &api::BacklogQueries, has_age: bool, path: Path<'_>, problems: &mut Problems) {
    let path = Path::Field(&path, "queries");
    let api::BacklogQueries {
        arrivals_per_second,
        waiting,
        oldest_seconds,
        running,
        finished_per_second,
        seconds_per_job,
    } = queries;
    let written = [
        ("arrivalsPerSecond", Some(arrivals_per_second)),
        ("waiting", Some(waiting)),
        ("oldestSeconds", Some(oldest_seconds)),
        ("running", running.as_ref()),
        ("finishedPerSecond", finished_per_second.as_ref()),
        ("secondsPerJob", seconds_per_job.as_ref()),
    ];
    for (name, query) in written {
        if query.is_some_and(|query| query.trim().is_empty()) {
            problems.refuse(Path::Field(&path, name), "write a query in PromQL");
        }
    }
    if seconds_per_job.is_none() && !has_age {
        let sentence = "set secondsPerJob, or oldestWithin: without both, nothing asks for a second pod";
        problems.refuse(path, sentence);
    }
}

/// A pool of no pods must have a metric that does not need a pod.
pub(super) fn check_wakes(
    written: &api::WorkerScaling,
    min_replicas: i32,
    path: Path<'_>,
    problems: &mut Problems,
) {
    let mut metrics = written.metrics.iter().flatten();
    if min_replicas == 0 && written.backlog.is_none() && !metrics.any(|one| one.prometheus.is_some()) {
        let sentence =
            "use at least 1, or set backlog or a prometheus metric: cpu and memory of no pod cannot wake it";
        problems.refuse(Path::Field(&path, "minReplicas"), sentence);
    }
    for metric in written.metrics.iter().flatten() {
        if metric.request_rate.is_some() || metric.latency.is_some() {
            let list = Path::Field(&path, "metrics");
            let sentence = "use backlog, cpu, memory or prometheus: a worker serves no requests";
            problems.refuse(Path::Item(&list, &metric.name), sentence);
        }
    }
}

/// Seconds of a drain that is not written.
const DRAIN_SECONDS: u32 = 30;

/// Whole seconds for the jobs of a stopping pod.
pub(super) fn drain_seconds(written: Option<&api::Drain>, path: Path<'_>, problems: &mut Problems) -> u32 {
    let Some(drain) = written else { return DRAIN_SECONDS };
    let path = Path::Field(&path, "drain");
    let path = Path::Field(&path, "timeout");
    let time = time(&drain.timeout, path, problems);
    if time.subsec_nanos() != 0 {
        problems.refuse(path, "use whole seconds");
    }
    u32::try_from(time.as_secs()).unwrap_or(DRAIN_SECONDS)
}

/// A time of 1s to 24h.
fn time(written: &api::GoDuration, path: Path<'_>, problems: &mut Problems) -> SignedDuration {
    match written.parse() {
        Ok(time) if TIMES.contains(&time) => return SignedDuration::try_from(time).unwrap_or_default(),
        Ok(_) => problems.refuse(path, "use 1s to 24h"),
        Err(invalid) => problems.refuse(path, invalid.to_string()),
    }
    SignedDuration::from_secs(1)
}
