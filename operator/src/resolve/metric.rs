//! One metric of a component, in the types of the engine. Pure.

use super::declaration::Declaration;
use super::invalid::Problems;
use super::path::Path;
use jiff::SignedDuration;
use scalableapp_crds as api;
use scalableapp_engine::hpa::signal::PodTarget;
use scalableapp_engine::propose::metric::Target;
use std::time::Duration;

/// The largest target for the usage of one pod, in thousandths: the sum over a thousand pods fits an `i64`.
const MOST_USAGE: i64 = i64::MAX / 1000;

/// The longest latency target.
const MOST_LATENCY: Duration = Duration::from_secs(3600);

/// The metric's measurement and target.
pub(super) fn target(
    metric: &api::Metric,
    declaration: Declaration<'_>,
    path: Path<'_>,
    problems: &mut Problems,
) -> Target {
    let api::Metric { name: _, request_rate, latency, cpu, memory, prometheus } = metric;
    let field = |name| Path::Field(&path, name);
    match (request_rate, latency, cpu, memory, prometheus) {
        (Some(rate), None, None, None, None) => {
            let path = field("requestRate");
            check_scraped(declaration, path, problems);
            Target::RequestRate { per_replica: above_zero(&rate.per_replica, "perReplica", path, problems) }
        }
        (None, Some(latency), None, None, None) => {
            check_scraped(declaration, field("latency"), problems);
            latency_target(latency, field("latency"), problems)
        }
        (None, None, Some(cpu), None, None) => {
            Target::Cpu(pod_target(cpu, "cpu", declaration, field("cpu"), problems))
        }
        (None, None, None, Some(memory), None) => {
            Target::Memory(pod_target(memory, "memory", declaration, field("memory"), problems))
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

fn check_scraped(declaration: Declaration<'_>, path: Path<'_>, problems: &mut Problems) {
    if declaration.metrics_port.is_none() {
        let sentence =
            "set the component's metricsPort to the port that serves /metrics: the value is read there";
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
    declaration: Declaration<'_>,
    path: Path<'_>,
    problems: &mut Problems,
) -> PodTarget {
    match (&written.utilization, &written.average_value) {
        (Some(percent), None) => {
            if !(1..=10_000).contains(percent) {
                problems.refuse(Path::Field(&path, "utilization"), "use 1 to 10000 percent");
            }
            // As in Kubernetes, a limit counts as a missing request.
            let has_request = declaration.resources.is_some_and(|resources| {
                resources.requests.contains_key(resource) || resources.limits.contains_key(resource)
            });
            if !has_request {
                let sentence = format!(
                    "set the component's resources.requests.{resource}: utilization is a percentage of the request"
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
pub(super) fn above_zero(
    quantity: &api::Quantity,
    field: &str,
    path: Path<'_>,
    problems: &mut Problems,
) -> i64 {
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
