//! A canary in the types of the engine. Pure.

use super::invalid::Problems;
use super::path::Path;
use jiff::SignedDuration;
use scalableapp_crds as api;
use scalableapp_crds::{GoDuration, Quantity, limits};
use scalableapp_engine::rollout::canary::{Canary, CanaryStep};
use scalableapp_engine::rollout::judge::policy::CanaryPolicy;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The weights of a step, with a route.
const WEIGHTS: RangeInclusive<i32> = 1..=99;
/// The largest weight of a step without one.
const MOST_BY_PODS: i32 = 50;
/// The longest hold of a step.
const LONGEST_HOLD: Duration = Duration::from_secs(168 * 3600);
/// Latencies above which a request may be called slow.
const SLOW: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);

/// Resolves the canary of a service, with its problems.
pub(super) fn resolve(written: &api::Service, path: Path<'_>, problems: &mut Problems) -> Option<Canary> {
    let rollout = written.rollout.as_ref()?;
    let canary = rollout.canary.as_ref()?;
    let path = Path::Field(&path, "rollout");
    let path = Path::Field(&path, "canary");
    if written.metrics_port.is_none() {
        problems.refuse(
            path,
            "set metricsPort to the port that serves /metrics: a canary is judged by the requests of its pods",
        );
    }
    if canary.steps.is_empty() || canary.steps.len() > limits::CANARY_STEPS {
        let sentence = format!("use 1 to {} steps", limits::CANARY_STEPS);
        problems.refuse(Path::Field(&path, "steps"), sentence);
    }
    let (list, is_routed) = (Path::Field(&path, "steps"), written.route.is_some());
    let numbered = canary.steps.iter().enumerate();
    let steps =
        numbered.map(|(index, one)| step(one, Path::Index(&list, index), is_routed, problems)).collect();
    let default = api::CanaryAnalysis::default();
    let analysis = canary.analysis.as_ref().unwrap_or(&default);
    let at = Path::Field(&path, "analysis");
    let slow_above = analysis.latency.as_ref().map(|latency| {
        let at = Path::Field(&at, "latency");
        let path = Path::Field(&at, "threshold");
        let parsed = latency.threshold.parse().ok().filter(|one| SLOW.contains(one));
        parsed.map_or_else(
            || {
                problems.refuse(path, "use a duration of 1ms to 10m, such as 300ms");
                1.0
            },
            |duration| duration.as_secs_f64(),
        )
    });
    Some(Canary { steps, policy: policy(analysis, at, problems), slow_above, is_routed })
}

fn step(written: &api::CanaryStep, path: Path<'_>, is_routed: bool, problems: &mut Problems) -> CanaryStep {
    let at = Path::Field(&path, "weight");
    if !WEIGHTS.contains(&written.weight) {
        problems.refuse(at, "use a percentage of 1 to 99");
    } else if !is_routed && written.weight > MOST_BY_PODS {
        problems.refuse(
            at,
            "use at most 50, or add a route: the pods of the canary would have to be more than the others",
        );
    }
    let hold = written.hold.as_ref().map(GoDuration::parse);
    let hold = hold.transpose().ok().filter(|hold| hold.is_none_or(|hold| hold <= LONGEST_HOLD));
    let hold = hold.unwrap_or_else(|| {
        problems.refuse(Path::Field(&path, "hold"), "use a duration of 0s to 168h, such as 5m");
        None
    });
    let hold = hold.and_then(|hold| SignedDuration::try_from(hold).ok()).unwrap_or_default();
    CanaryStep { weight: written.weight, hold }
}

fn policy(written: &api::CanaryAnalysis, path: Path<'_>, problems: &mut Problems) -> CanaryPolicy {
    let default = CanaryPolicy::default();
    let mut number = |field, written: Option<&Quantity>, range: RangeInclusive<f64>, words: &str, default| {
        let Some(written) = written else { return default };
        let value = written.milli().ok().map(|milli| milli as f64 / 1000.0);
        value.filter(|value| range.contains(value)).unwrap_or_else(|| {
            problems.refuse(Path::Field(&path, field), format!("use a number {words}"));
            default
        })
    };
    let most = 1000.0;
    let tolerated = number(
        "tolerate",
        written.tolerate.as_ref(),
        1.0..=most,
        "of 1 to 1000, such as 1.5",
        default.tolerated,
    );
    let excluded = number(
        "exclude",
        written.exclude.as_ref(),
        tolerated + 0.001..=most,
        "above tolerate and of at most 1000, such as 2",
        2.0 * tolerated,
    );
    let false_abort = number(
        "falseAbort",
        written.false_abort.as_ref(),
        0.001..=0.5,
        "of 0.001 to 0.5, such as 0.01",
        default.false_abort,
    );
    let share = "of 0.001 to 0.999, such as 0.01";
    let errors = written.error_ratio.as_ref().and_then(|one| one.at_most.as_ref());
    let errors = number("errorRatio.atMost", errors, 0.001..=0.999, share, default.largest_share[0]);
    let slow = written.latency.as_ref().and_then(|one| one.at_most.as_ref());
    let slow = number("latency.atMost", slow, 0.001..=0.999, share, default.largest_share[2]);
    CanaryPolicy { false_abort, tolerated, excluded, largest_share: [errors, errors, slow], ..default }
}
