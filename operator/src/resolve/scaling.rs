//! Replicas and metrics of a service, in the types of the engine. Pure.

use super::invalid::Problems;
use super::path::Path;
use super::schedule;
use jiff::SignedDuration;
use scalableapp_crds as api;
use scalableapp_engine::bounds::fallback::Fallback;
use scalableapp_engine::bounds::schedule::Schedule;
use scalableapp_engine::forecast::Forecast;
use scalableapp_engine::hpa::behavior::Behavior;
use scalableapp_engine::hpa::signal::PodTarget;
use scalableapp_engine::propose::metric::{Metric, Target};
use scalableapp_engine::stack::Service;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The largest maximum replicas of a component.
pub(super) const MOST_REPLICAS: i32 = 10_000;

/// The largest target for the usage of one pod, in thousandths: the sum over a thousand pods fits an `i64`.
const MOST_USAGE: i64 = i64::MAX / 1000;

/// The longest latency target.
const MOST_LATENCY: Duration = Duration::from_secs(3600);

/// The shortest and the longest horizon.
const HORIZONS: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(1800);

/// The shortest and the longest season.
const SEASONS: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(24 * 3600);

/// The shortest and the longest `after` of a fallback.
const FALLBACKS: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_secs(24 * 3600);

/// The scaling of a component.
#[derive(Debug)]
pub(super) struct Scaling {
    /// Minimum replicas, at least 1.
    pub min_replicas: i32,
    /// Maximum replicas, at least `min_replicas`.
    pub max_replicas: i32,
    /// The metrics that decide between the two.
    pub workload: Service,
    /// The custom query of each metric that has one, by the name of the metric.
    pub queries: BTreeMap<String, String>,
    /// How fast replicas may change.
    pub behavior: Behavior,
    /// Recurring times with more minimum replicas.
    pub schedules: Vec<Schedule>,
    /// Minimum replicas while a metric is missing; `None` where the current replicas stay.
    pub fallback: Option<Fallback>,
}

/// Resolves the scaling of a service; without any it has one replica.
pub(super) fn resolve(service: &api::Service, path: Path<'_>, problems: &mut Problems) -> Scaling {
    let path = Path::Field(&path, "scaling");
    let Some(written) = &service.scaling else {
        return Scaling {
            min_replicas: 1,
            max_replicas: 1,
            workload: Service::default(),
            queries: BTreeMap::new(),
            behavior: Behavior::default(),
            schedules: Vec::new(),
            fallback: None,
        };
    };
    let metrics = written.metrics.as_deref().unwrap_or_default();
    let (min_replicas, max_replicas) = bounds(written, path, problems);
    let schedules = schedule::resolve(written.schedules.as_deref(), path, problems);
    check_choice(metrics, min_replicas == max_replicas || !schedules.is_empty(), path, problems);
    let list = Path::Field(&path, "metrics");
    let mut names = BTreeSet::new();
    let mut queries = BTreeMap::new();
    let metrics: Vec<Metric> = metrics
        .iter()
        .map(|metric| {
            let item = Path::Item(&list, &metric.name);
            if !names.insert(&metric.name) {
                problems.refuse(item, "give each metric a name of its own");
            }
            if let Some(prometheus) = &metric.prometheus {
                queries.insert(metric.name.clone(), prometheus.query.clone());
            }
            Metric { name: metric.name.clone(), target: target(metric, service, item, problems) }
        })
        .collect();
    let behavior = behavior(written.behavior.as_ref(), Path::Field(&path, "behavior"), problems);
    let forecast = written.forecast.as_ref().and_then(|written| forecast(written, &metrics, path, problems));
    let fallback =
        written.fallback.as_ref().and_then(|written| fallback(written, max_replicas, path, problems));
    let workload = Service { metrics, forecast };
    Scaling { min_replicas, max_replicas, workload, queries, behavior, schedules, fallback }
}

fn bounds(written: &api::Scaling, path: Path<'_>, problems: &mut Problems) -> (i32, i32) {
    let (min, max) = (written.min_replicas.unwrap_or(1), written.max_replicas);
    if min < 1 {
        let sentence =
            "use at least 1: a service at zero replicas could not answer the request that should wake it";
        problems.refuse(Path::Field(&path, "minReplicas"), sentence);
    }
    if max > MOST_REPLICAS {
        problems.refuse(Path::Field(&path, "maxReplicas"), format!("use at most {MOST_REPLICAS}"));
    }
    if max < min.max(1) {
        problems.refuse(Path::Field(&path, "maxReplicas"), "use no less than minReplicas");
    }
    (min, max)
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

fn target(metric: &api::Metric, service: &api::Service, path: Path<'_>, problems: &mut Problems) -> Target {
    let api::Metric { name: _, request_rate, latency, cpu, memory, prometheus } = metric;
    let field = |name| Path::Field(&path, name);
    match (request_rate, latency, cpu, memory, prometheus) {
        (Some(rate), None, None, None, None) => {
            let path = field("requestRate");
            check_scraped(service, path, problems);
            Target::RequestRate { per_replica: above_zero(&rate.per_replica, "perReplica", path, problems) }
        }
        (None, Some(latency), None, None, None) => {
            check_scraped(service, field("latency"), problems);
            latency_target(latency, field("latency"), problems)
        }
        (None, None, Some(cpu), None, None) => {
            Target::Cpu(pod_target(cpu, "cpu", service, field("cpu"), problems))
        }
        (None, None, None, Some(memory), None) => {
            Target::Memory(pod_target(memory, "memory", service, field("memory"), problems))
        }
        (None, None, None, None, Some(prometheus)) => {
            let path = field("prometheus");
            if prometheus.query.trim().is_empty() {
                problems.refuse(Path::Field(&path, "query"), "write a query in PromQL");
            }
            Target::Prometheus {
                per_replica: above_zero(&prometheus.per_replica, "perReplica", path, problems),
            }
        }
        _ => {
            problems.refuse(path, "set exactly one of requestRate, latency, cpu, memory, prometheus");
            Target::RequestRate { per_replica: 1 }
        }
    }
}

fn check_scraped(service: &api::Service, path: Path<'_>, problems: &mut Problems) {
    if service.metrics_port.is_none() {
        let sentence =
            "set the service's metricsPort to the port that serves /metrics: the value is read there";
        problems.refuse(path, sentence);
    }
}

fn latency_target(latency: &api::Latency, path: Path<'_>, problems: &mut Problems) -> Target {
    let quantile = fraction(&latency.quantile).unwrap_or_else(|| {
        problems
            .refuse(Path::Field(&path, "quantile"), "use a quantile between 0 and 1, for example \"0.99\"");
        0.5
    });
    let target = match latency.target.parse() {
        Ok(duration) if !duration.is_zero() && duration <= MOST_LATENCY => {
            SignedDuration::try_from(duration).unwrap_or_default()
        }
        Ok(_) => {
            problems.refuse(Path::Field(&path, "target"), "use a latency longer than 0s and of at most 1h");
            SignedDuration::ZERO
        }
        Err(invalid) => {
            problems.refuse(Path::Field(&path, "target"), invalid.to_string());
            SignedDuration::ZERO
        }
    };
    Target::Latency { quantile, target }
}

/// A quantity strictly between 0 and 1. It is not read in thousandths, which would round 0.9999 to 1.
fn fraction(quantity: &api::Quantity) -> Option<f64> {
    let (number, unit) = match quantity.0.strip_suffix('m') {
        Some(number) => (number, 1000.0),
        None => (quantity.0.as_str(), 1.0),
    };
    let fraction = number.parse::<f64>().ok()? / unit;
    (fraction > 0.0 && fraction < 1.0).then_some(fraction)
}

fn pod_target(
    written: &api::ResourceTarget,
    resource: &str,
    service: &api::Service,
    path: Path<'_>,
    problems: &mut Problems,
) -> PodTarget {
    match (&written.utilization, &written.average_value) {
        (Some(percent), None) => {
            if !(1..=10_000).contains(percent) {
                problems.refuse(Path::Field(&path, "utilization"), "use 1 to 10000 percent");
            }
            // As in Kubernetes, a limit counts as a missing request.
            let has_request = service.resources.as_ref().is_some_and(|resources| {
                resources.requests.contains_key(resource) || resources.limits.contains_key(resource)
            });
            if !has_request {
                let sentence = format!(
                    "set the service's resources.requests.{resource}: utilization is a percentage of the request"
                );
                problems.refuse(Path::Field(&path, "utilization"), sentence);
            }
            PodTarget::Utilization(*percent)
        }
        (None, Some(value)) => {
            PodTarget::AverageValue(above_zero(value, "averageValue", path, problems).min(MOST_USAGE))
        }
        _ => {
            problems.refuse(path, "set exactly one of utilization, averageValue");
            PodTarget::Utilization(100)
        }
    }
}

/// A quantity above 0, in thousandths. Kubernetes rounds any smaller value up to one thousandth.
fn above_zero(quantity: &api::Quantity, field: &str, path: Path<'_>, problems: &mut Problems) -> i64 {
    let path = Path::Field(&path, field);
    let is_less_than_one = quantity.nano().is_some_and(|nano| nano < 1_000_000);
    match quantity.milli() {
        Ok(milli) if milli > 0 && is_less_than_one => {
            problems.refuse(path, "use at least 0.001: smaller quantities are not distinguished");
        }
        Ok(milli) if milli > 0 => return milli,
        Ok(_) => problems.refuse(path, "use a quantity above 0"),
        Err(invalid) => problems.refuse(path, invalid.to_string()),
    }
    1
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_keeps_every_digit() {
        let fraction = |text: &str| fraction(&api::Quantity(text.to_owned()));
        assert_eq!(fraction("0.9999"), Some(0.9999));
        assert_eq!(fraction("999m"), Some(0.999));
        for text in ["0", "1", "1000m", "-0.5", "nan", "inf", "", "half"] {
            assert_eq!(fraction(text), None, "{text}");
        }
    }
}
