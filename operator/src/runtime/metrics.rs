//! The process' own metrics: one table, and one function for each event. Pure but for the recorder.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;

/// What a metric counts or measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

/// One metric, as `docs/metrics.md` lists it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Name as Prometheus sees it.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: MetricKind,
    /// Unit of its value.
    pub unit: Unit,
    /// Labels, in the order in which they are documented.
    pub labels: &'static [&'static str],
    /// Meaning in one sentence.
    pub help: &'static str,
}

const RECONCILE_DURATION: &str = "scalableapp_reconcile_duration_seconds";
const RECONCILE_ERRORS: &str = "scalableapp_reconcile_errors_total";
const DECISIONS: &str = "scalableapp_decisions_total";
const TICK_LATENESS: &str = "scalableapp_tick_lateness_seconds";
const QUERY_DURATION: &str = "scalableapp_prometheus_query_duration_seconds";
const QUERIES: &str = "scalableapp_prometheus_queries_total";
const API_WRITES: &str = "scalableapp_api_writes_total";
const DESIRED_REPLICAS: &str = "scalableapp_desired_replicas";
const BOTTLENECK: &str = "scalableapp_bottleneck";
const CONDITION: &str = "scalableapp_condition";
const COMPARISONS: &str = "scalableapp_canary_self_comparisons_total";
const EVIDENCE: &str = "scalableapp_canary_evidence";
const ROLLOUT_PHASE: &str = "scalableapp_rollout_phase";
const ROLLOUT_WEIGHT: &str = "scalableapp_rollout_weight";
const ROLLOUT_OVERDUE: &str = "scalableapp_rollout_overdue_seconds";
const PROMOTIONS: &str = "scalableapp_rollout_promotions_total";
const ABORTS: &str = "scalableapp_rollout_aborts_total";
const LEADER: &str = "scalableapp_leader";

/// Few buckets, because each costs memory for every label: from a fast query to one that times out.
const BUCKETS: [f64; 6] = [0.005, 0.025, 0.1, 0.5, 1.0, 5.0];

/// Every metric of the process.
pub const DESCRIPTIONS: [Description; 18] = [
    Description {
        name: RECONCILE_DURATION,
        kind: MetricKind::Histogram,
        unit: Unit::Seconds,
        labels: &[],
        help: "Time to bring one ScalableApp's children in line with its spec.",
    },
    Description {
        name: RECONCILE_ERRORS,
        kind: MetricKind::Counter,
        unit: Unit::Count,
        labels: &["reason"],
        help: "Reconciles that failed, by the result of the write that failed.",
    },
    Description {
        name: DECISIONS,
        kind: MetricKind::Counter,
        unit: Unit::Count,
        labels: &["direction"],
        help: "Decisions on a component's replicas, by direction: out, in or hold.",
    },
    Description {
        name: TICK_LATENESS,
        kind: MetricKind::Histogram,
        unit: Unit::Seconds,
        labels: &[],
        help: "Time by which a tick began later than planned.",
    },
    Description {
        name: QUERY_DURATION,
        kind: MetricKind::Histogram,
        unit: Unit::Seconds,
        labels: &["template"],
        help: "Time of one Prometheus query, by template; custom for the queries of apps, history and custom_history for the history of forecasts, canary and canary_breaker for the counts of canaries.",
    },
    Description {
        name: QUERIES,
        kind: MetricKind::Counter,
        unit: Unit::Count,
        labels: &["result"],
        help: "Prometheus queries, by result: ok, unreachable, timeout, http_error, rejected, invalid, too_large or partial.",
    },
    Description {
        name: API_WRITES,
        kind: MetricKind::Counter,
        unit: Unit::Count,
        labels: &["kind", "result"],
        help: "Writes to the Kubernetes API, by kind of object and result: ok, conflict, refused, name_taken, timed_out, not_leader or api.",
    },
    Description {
        name: DESIRED_REPLICAS,
        kind: MetricKind::Gauge,
        unit: Unit::Count,
        labels: &["namespace", "scalableapp", "component"],
        help: "Desired replicas of the last decision.",
    },
    Description {
        name: BOTTLENECK,
        kind: MetricKind::Gauge,
        unit: Unit::Count,
        labels: &["namespace", "scalableapp", "component", "cause"],
        help: "1 for the cause in status.bottleneck of a ScalableApp. It ends up to 60 s after it.",
    },
    Description {
        name: CONDITION,
        kind: MetricKind::Gauge,
        unit: Unit::Count,
        labels: &["namespace", "scalableapp", "type", "status", "reason"],
        help: "1 for each condition of a ScalableApp that needs attention: Ready or MetricsAvailable that is not True, Stalled or DependencyDegraded that is not False, and ScalingLimited by connections or by pods that are not granted. It ends up to 60 s after its cause.",
    },
    Description {
        name: COMPARISONS,
        kind: MetricKind::Counter,
        unit: Unit::Count,
        labels: &["result"],
        help: "Comparisons of two halves of the stable pods before a canary, by what the judge says of them: abort or none. They cannot differ, so more than one abort in a hundred is noise that the judge then allows for.",
    },
    Description {
        name: EVIDENCE,
        kind: MetricKind::Gauge,
        unit: Unit::Count,
        labels: &["namespace", "scalableapp", "component", "kind", "proof"],
        help: "Natural logarithm of the evidence on a canary, by kind of bad requests (errors, failures or slow) and what it proves: worse, better or small. By default 4.6 prove worse, and 3 in each kind prove better or small. It ends up to 60 s after the canary.",
    },
    Description {
        name: ROLLOUT_PHASE,
        kind: MetricKind::Gauge,
        unit: Unit::Count,
        labels: &["namespace", "scalableapp", "component", "phase"],
        help: "1 for the phase of each component with a canary in its spec: Complete, Progressing or Aborted. It ends up to 60 s after the phase.",
    },
    Description {
        name: ROLLOUT_WEIGHT,
        kind: MetricKind::Gauge,
        unit: Unit::Count,
        labels: &["namespace", "scalableapp", "component"],
        help: "Percentage of the requests that the step of a canary asks for. It ends up to 60 s after the canary.",
    },
    Description {
        name: ROLLOUT_OVERDUE,
        kind: MetricKind::Gauge,
        unit: Unit::Seconds,
        labels: &["namespace", "scalableapp", "component"],
        help: "Seconds since the least time of a canary's step was over; 0 until then. Where the pods of the step are not available yet, seconds since the rollout began. It ends up to 60 s after the canary.",
    },
    Description {
        name: PROMOTIONS,
        kind: MetricKind::Counter,
        unit: Unit::Count,
        labels: &["by"],
        help: "Canaries that became the stable revision, by who decided it: evidence or person.",
    },
    Description {
        name: ABORTS,
        kind: MetricKind::Counter,
        unit: Unit::Count,
        labels: &["by"],
        help: "Canaries that were aborted, by who decided it: evidence or person.",
    },
    Description {
        name: LEADER,
        kind: MetricKind::Gauge,
        unit: Unit::Count,
        labels: &[],
        help: "1 if this process holds the Lease, 0 if it is a standby.",
    },
];

/// Time after which a gauge that is no longer set disappears: that of a deleted app, or of a lost Lease.
const GAUGE_LIFETIME: Duration = Duration::from_secs(60);

/// Interval at which observations are put into their buckets. A scrape does that, too, but may never come.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(30);

/// Installs the recorder of the process, inside a tokio runtime. The handle renders `/metrics`.
///
/// # Errors
/// When the process has a recorder already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new().idle_timeout(MetricKindMask::GAUGE, Some(GAUGE_LIFETIME));
    for one in DESCRIPTIONS.iter().filter(|one| one.kind == MetricKind::Histogram) {
        builder = builder.set_buckets_for_metric(Matcher::Full(one.name.to_owned()), &BUCKETS)?;
    }
    let handle = builder.install_recorder()?;
    for one in DESCRIPTIONS {
        match one.kind {
            MetricKind::Counter => describe_counter!(one.name, one.unit, one.help),
            MetricKind::Gauge => describe_gauge!(one.name, one.unit, one.help),
            MetricKind::Histogram => describe_histogram!(one.name, one.unit, one.help),
        }
    }
    leader(false);
    tokio::spawn(keep_up(handle.clone()));
    Ok(handle)
}

async fn keep_up(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        handle.run_upkeep();
    }
}

/// A reconcile ended, successfully or not.
pub fn reconciled(duration: Duration) {
    histogram!(RECONCILE_DURATION).record(duration);
}

/// A reconcile failed.
pub fn reconcile_failed(reason: &'static str) {
    counter!(RECONCILE_ERRORS, "reason" => reason).increment(1);
}

/// A component's replicas were decided: `from` are its current ones.
pub fn decided(from: i32, to: i32) {
    let direction = match to.cmp(&from) {
        std::cmp::Ordering::Greater => "out",
        std::cmp::Ordering::Less => "in",
        std::cmp::Ordering::Equal => "hold",
    };
    counter!(DECISIONS, "direction" => direction).increment(1);
}

/// A tick began.
pub fn tick_began(lateness: Duration) {
    histogram!(TICK_LATENESS).record(lateness);
}

/// A query to Prometheus ended. `template` is `custom` for an app's own query.
pub fn queried(template: &'static str, duration: Duration, result: &'static str) {
    histogram!(QUERY_DURATION, "template" => template).record(duration);
    counter!(QUERIES, "result" => result).increment(1);
}

/// A write to the Kubernetes API ended.
pub fn wrote(kind: &'static str, result: &'static str) {
    counter!(API_WRITES, "kind" => kind, "result" => result).increment(1);
}

/// Desired replicas of a component.
pub fn desired_replicas(namespace: &str, app: &str, component: &str, replicas: i32) {
    let labels = [("namespace", namespace), ("scalableapp", app), ("component", component)]
        .map(|(name, value)| (name, value.to_owned()));
    gauge!(DESIRED_REPLICAS, &labels).set(replicas);
}

/// The cause of an app's problem.
pub fn bottleneck(namespace: &str, app: &str, component: &str, cause: &'static str) {
    let labels = [("namespace", namespace), ("scalableapp", app), ("component", component), ("cause", cause)]
        .map(|(name, value)| (name, value.to_owned()));
    gauge!(BOTTLENECK, &labels).set(1);
}

/// A condition of an app that needs attention.
pub fn condition(
    namespace: &str,
    app: &str,
    type_: &'static str,
    status: &'static str,
    reason: &'static str,
) {
    let labels = [
        ("namespace", namespace),
        ("scalableapp", app),
        ("type", type_),
        ("status", status),
        ("reason", reason),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    gauge!(CONDITION, &labels).set(1);
}

/// Two halves of the stable pods were compared this often, and told apart in some of these comparisons.
pub fn compared(comparisons: u32, aborts: u32) {
    counter!(COMPARISONS, "result" => "abort").increment(u64::from(aborts));
    counter!(COMPARISONS, "result" => "none").increment(u64::from(comparisons.saturating_sub(aborts)));
}

/// The natural logarithm of the evidence on the canary of a component.
pub fn canary_evidence(
    (namespace, app, component): (&str, &str, &str),
    kind: &'static str,
    proof: &'static str,
    ln: f64,
) {
    let labels = [
        ("namespace", namespace),
        ("scalableapp", app),
        ("component", component),
        ("kind", kind),
        ("proof", proof),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    gauge!(EVIDENCE, &labels).set(ln);
}

/// The phase of a component with a canary in its spec.
pub fn rollout_phase(namespace: &str, app: &str, component: &str, phase: &'static str) {
    let labels = [("namespace", namespace), ("scalableapp", app), ("component", component), ("phase", phase)]
        .map(|(name, value)| (name, value.to_owned()));
    gauge!(ROLLOUT_PHASE, &labels).set(1);
}

/// The step of a canary: the percentage of the requests that it asks for, and the seconds since its least time was over.
pub fn rollout_step(namespace: &str, app: &str, component: &str, weight: i32, overdue_seconds: f64) {
    let labels = [("namespace", namespace), ("scalableapp", app), ("component", component)]
        .map(|(name, value)| (name, value.to_owned()));
    gauge!(ROLLOUT_WEIGHT, &labels).set(weight);
    gauge!(ROLLOUT_OVERDUE, &labels).set(overdue_seconds);
}

/// A canary ended. `by` is `evidence` or `person`.
pub fn rollout_ended(promoted: bool, by: &'static str) {
    counter!(if promoted { PROMOTIONS } else { ABORTS }, "by" => by).increment(1);
}

/// Whether this process leads.
pub fn leader(leads: bool) {
    gauge!(LEADER).set(if leads { 1 } else { 0 });
}
