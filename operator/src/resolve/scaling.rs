//! Replicas and metrics of a component, in the types of the engine. Pure.

use super::declaration::Declaration;
use super::invalid::Problems;
use super::path::Path;
use super::{metric, schedule, worker};
use jiff::SignedDuration;
use scalableapp_crds as api;
use scalableapp_engine::bounds::fallback::Fallback;
use scalableapp_engine::bounds::schedule::Schedule;
use scalableapp_engine::forecast::Forecast;
use scalableapp_engine::hpa::behavior::Behavior;
use scalableapp_engine::propose::metric::{Metric, Target};
use scalableapp_engine::stack::{Service, Worker, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The largest maximum replicas of a component.
pub(super) const MOST_REPLICAS: i32 = 10_000;

/// The shortest and the longest horizon.
const HORIZONS: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(1800);

/// The shortest and the longest season.
const SEASONS: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(24 * 3600);

/// The shortest and the longest `after` of a fallback.
const FALLBACKS: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_secs(24 * 3600);

/// The scaling of a component.
#[derive(Debug)]
pub(super) struct Scaling {
    /// Minimum replicas, at least 1 for a service.
    pub min_replicas: i32,
    /// Maximum replicas, at least `min_replicas`.
    pub max_replicas: i32,
    /// What decides between the two.
    pub workload: Workload,
    /// The custom query of each metric that has one, by the name of the metric.
    pub queries: BTreeMap<String, String>,
    /// How fast replicas may change.
    pub behavior: Behavior,
    /// Recurring times with more minimum replicas.
    pub schedules: Vec<Schedule>,
    /// Minimum replicas while a metric is missing; `None` where the current replicas stay.
    pub fallback: Option<Fallback>,
}

/// The written scaling of a service or a worker.
struct WrittenScaling<'a> {
    min_replicas: i32,
    max_replicas: i32,
    metrics: &'a [api::Metric],
    behavior: Option<&'a api::Behavior>,
    schedules: Option<&'a [api::Schedule]>,
    fallback: Option<&'a api::Fallback>,
}

/// Resolves the scaling of a service; without any it has one replica.
pub(super) fn of_service(service: &api::Service, path: Path<'_>, problems: &mut Problems) -> Scaling {
    let path = Path::Field(&path, "scaling");
    let Some(written) = &service.scaling else {
        return Scaling {
            min_replicas: 1,
            max_replicas: 1,
            workload: Workload::Service(Service::default()),
            queries: BTreeMap::new(),
            behavior: Behavior::default(),
            schedules: Vec::new(),
            fallback: None,
        };
    };
    let (min_replicas, max_replicas) = service.replica_bounds();
    if min_replicas < 1 {
        let sentence =
            "use at least 1: a service at zero replicas could not answer the request that should wake it";
        problems.refuse(Path::Field(&path, "minReplicas"), sentence);
    }
    let written_metrics = written.metrics.as_deref().unwrap_or_default();
    let common = WrittenScaling {
        min_replicas,
        max_replicas,
        metrics: written_metrics,
        behavior: written.behavior.as_ref(),
        schedules: written.schedules.as_deref(),
        fallback: written.fallback.as_ref(),
    };
    resolve(&common, service.into(), None, path, problems, |metrics, problems| {
        let forecast =
            written.forecast.as_ref().and_then(|written| forecast(written, &metrics, path, problems));
        Workload::Service(Service { metrics, forecast })
    })
}

/// Resolves the scaling of a worker.
pub(super) fn of_worker(worker: &api::Worker, path: Path<'_>, problems: &mut Problems) -> Scaling {
    let path = Path::Field(&path, "scaling");
    let written = &worker.scaling;
    let (min_replicas, max_replicas) = worker.replica_bounds();
    let backlog = written.backlog.as_ref().map(|backlog| worker::backlog(backlog, path, problems));
    let common = WrittenScaling {
        min_replicas,
        max_replicas,
        metrics: written.metrics.as_deref().unwrap_or_default(),
        behavior: written.behavior.as_ref(),
        schedules: written.schedules.as_deref(),
        fallback: written.fallback.as_ref(),
    };
    worker::check_wakes(written, min_replicas, path, problems);
    resolve(&common, worker.into(), backlog, path, problems, |metrics, _| {
        Workload::Worker(Worker { metrics })
    })
}

/// The scaling, whose `workload` has the metrics with `first` before them.
fn resolve(
    written: &WrittenScaling<'_>,
    declaration: Declaration<'_>,
    first: Option<Metric>,
    path: Path<'_>,
    problems: &mut Problems,
    workload: impl FnOnce(Vec<Metric>, &mut Problems) -> Workload,
) -> Scaling {
    let (min_replicas, max_replicas) = (written.min_replicas, written.max_replicas);
    check_bounds(min_replicas, max_replicas, path, problems);
    let schedules = schedule::resolve(written.schedules, path, problems);
    let is_settled = min_replicas == max_replicas || !schedules.is_empty() || first.is_some();
    check_choice(written.metrics, is_settled, path, problems);
    let list = Path::Field(&path, "metrics");
    let (mut names, mut queries) = (BTreeSet::new(), BTreeMap::new());
    let mut metrics: Vec<Metric> = first.into_iter().collect();
    for metric in written.metrics {
        let item = Path::Item(&list, &metric.name);
        if !names.insert(&metric.name) || metrics.iter().any(|one| one.name == metric.name) {
            problems.refuse(item, "give each metric a name of its own");
        }
        if let Some(prometheus) = &metric.prometheus {
            queries.insert(metric.name.clone(), prometheus.query.clone());
        }
        let target = metric::target(metric, declaration, item, problems);
        metrics.push(Metric { name: metric.name.clone(), target });
    }
    let behavior = behavior(written.behavior, Path::Field(&path, "behavior"), problems);
    let fallback = written.fallback.and_then(|written| fallback(written, max_replicas, path, problems));
    let workload = workload(metrics, problems);
    Scaling { min_replicas, max_replicas, workload, queries, behavior, schedules, fallback }
}

fn check_bounds(min: i32, max: i32, path: Path<'_>, problems: &mut Problems) {
    if max > MOST_REPLICAS {
        problems.refuse(Path::Field(&path, "maxReplicas"), format!("use at most {MOST_REPLICAS}"));
    }
    if max < min.max(1) {
        problems.refuse(Path::Field(&path, "maxReplicas"), "use no less than minReplicas");
    }
}

/// Something must decide between the bounds, and it must be able to propose fewer replicas, too.
fn check_choice(metrics: &[api::Metric], is_settled: bool, path: Path<'_>, problems: &mut Problems) {
    let list = Path::Field(&path, "metrics");
    if metrics.is_empty() && !is_settled {
        let sentence =
            "add a metric, or make minReplicas and maxReplicas equal for a fixed number of replicas";
        problems.refuse(list, sentence);
    }
    if !metrics.is_empty() && metrics.iter().all(|metric| metric.latency.is_some()) {
        let sentence = "add requestRate, cpu, memory or prometheus: latency only scales up";
        problems.refuse(list, sentence);
    }
}

fn forecast(
    written: &api::Forecast,
    metrics: &[Metric],
    path: Path<'_>,
    problems: &mut Problems,
) -> Option<Forecast> {
    let path = Path::Field(&path, "forecast");
    let is_load =
        |metric: &Metric| matches!(metric.target, Target::RequestRate { .. } | Target::Prometheus { .. });
    if !metrics.iter().any(is_load) {
        let sentence = "add a requestRate or prometheus metric: only a load that does not depend on the number of replicas can be predicted";
        problems.refuse(path, sentence);
    }
    let mut within = |written: &api::GoDuration, name, admits: fn(&Duration) -> bool, sentence| {
        let path = Path::Field(&path, name);
        match written.parse() {
            Ok(duration) if admits(&duration) => return SignedDuration::try_from(duration).ok(),
            Ok(_) => problems.refuse(path, sentence),
            Err(invalid) => problems.refuse(path, invalid.to_string()),
        }
        None
    };
    let horizon = within(
        &written.horizon,
        "horizon",
        |horizon| HORIZONS.contains(horizon),
        "use 10s to 30m: longer than pods take to start, and no longer than a trend lasts",
    );
    let season = written.season.as_ref().map(|season| {
        let admits =
            |season: &Duration| SEASONS.contains(season) && season.as_millis().is_multiple_of(60_000);
        let sentence = "use 1h to 24h in whole minutes: Prometheus must keep three of them";
        within(season, "season", admits, sentence)
    });
    Some(Forecast { horizon: horizon?, season: season.map_or(Some(None), |season| season.map(Some))? })
}

fn fallback(
    written: &api::Fallback,
    max_replicas: i32,
    path: Path<'_>,
    problems: &mut Problems,
) -> Option<Fallback> {
    let path = Path::Field(&path, "fallback");
    if !(1..=max_replicas).contains(&written.replicas) {
        problems.refuse(Path::Field(&path, "replicas"), "use 1 to maxReplicas");
    }
    let path = Path::Field(&path, "after");
    match written.after.parse() {
        Ok(after) if FALLBACKS.contains(&after) => {
            let after = SignedDuration::try_from(after).ok()?;
            return Some(Fallback { after, replicas: written.replicas });
        }
        Ok(_) => problems.refuse(path, "use 30s to 24h: shorter is what a restart of Prometheus takes"),
        Err(invalid) => problems.refuse(path, invalid.to_string()),
    }
    None
}

fn behavior(written: Option<&api::Behavior>, path: Path<'_>, problems: &mut Problems) -> Behavior {
    let Some(written) = written else { return Behavior::default() };
    for (name, rules) in [("scaleUp", &written.scale_up), ("scaleDown", &written.scale_down)] {
        if let Some(rules) = rules {
            check_rules(rules, Path::Field(&path, name), problems);
        }
    }
    Behavior::resolve(written).unwrap_or_default()
}

fn check_rules(rules: &api::ScalingRules, path: Path<'_>, problems: &mut Problems) {
    if rules.stabilization_window_seconds.is_some_and(|seconds| !(0..=3600).contains(&seconds)) {
        problems.refuse(Path::Field(&path, "stabilizationWindowSeconds"), "use 0 to 3600 seconds");
    }
    let list = Path::Field(&path, "policies");
    if rules.policies.as_ref().is_some_and(Vec::is_empty) {
        problems.refuse(list, "add a policy, or leave policies out for the default ones");
    }
    for (index, policy) in rules.policies.iter().flatten().enumerate() {
        let item = Path::Index(&list, index);
        if !(1..=100_000).contains(&policy.value) {
            problems.refuse(Path::Field(&item, "value"), "use 1 to 100000");
        }
        if !(1..=1800).contains(&policy.period_seconds) {
            problems.refuse(Path::Field(&item, "periodSeconds"), "use 1 to 1800 seconds");
        }
    }
    if let Some(tolerance) = &rules.tolerance {
        let path = Path::Field(&path, "tolerance");
        match tolerance.milli() {
            Ok(milli) if milli >= 0 => {}
            Ok(_) => problems.refuse(path, "use a tolerance that is not negative"),
            Err(invalid) => problems.refuse(path, invalid.to_string()),
        }
    }
}
