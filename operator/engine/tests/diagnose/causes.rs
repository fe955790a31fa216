//! Each cause on its own numbers: what is normal, what is measured, and the verdict.

use scalableapp_engine::diagnose::diagnose;
use scalableapp_engine::diagnose::observation::{Call, Observation, Span, Symptom};
use scalableapp_engine::diagnose::verdict::{Intervention, Verdict};
use scalableapp_engine::reason::{self, Reason};

/// A series of a node: the normal value, and that in the window.
type Row = (&'static str, &'static str, f64, f64);

/// A service `web` over a database `db`, and a cache, told that something is wrong at web.
fn observation(rows: &[Row]) -> Observation {
    let call = |callee: &str| Call { caller: "web".into(), callee: callee.into(), is_async: false };
    let mailer = Call { caller: "web".into(), callee: "mailer".into(), is_async: true };
    let mut observation = Observation {
        calls: vec![call("db"), call("cache"), call("provider"), mailer],
        normal: vec![Span { from: 0.0, until: 590.0 }],
        window: Span { from: 600.0, until: 780.0 },
        told: true,
        ..Observation::default()
    };
    for (node, name, normal, value) in rows {
        let samples = (0..79).map(|index| {
            let at = 10.0 * f64::from(index);
            let level = if at < 600.0 { *normal } else { *value };
            // A little noise, the same in every test.
            (at, level * (1.0 + 0.01 * f64::from(index * 7 % 5 - 2)))
        });
        observation.insert(node, name, samples.collect());
    }
    observation
}

const SLOW: Row = ("web", "latency_seconds", 0.1, 0.8);
const RATE: Row = ("web", "requests_per_second", 100.0, 100.0);

#[track_caller]
fn names(rows: &[Row], node: &str, cause: Reason, step: Intervention) {
    let diagnosis = diagnose(&observation(rows));
    let Verdict::Cause(finding) = &diagnosis.verdict else { panic!("{diagnosis:?}") };
    assert_eq!(
        (finding.node.as_str(), finding.cause, finding.intervention),
        (node, cause, step),
        "{diagnosis:?}"
    );
    assert!(!finding.evidence.is_empty(), "{diagnosis:?}");
}

#[test]
fn a_pool_is_too_small_while_the_database_is_as_fast_as_before() {
    let rows = [
        SLOW,
        ("web", "requests_per_second", 100.0, 180.0),
        ("web", "pool_wait_seconds", 0.001, 0.5),
        ("web", "connections_in_use", 4.0, 10.0),
        ("db", "query_duration_seconds", 0.01, 0.01),
        ("db", "pg_connections", 20.0, 22.0),
        ("db", "max_connections", 100.0, 100.0),
    ];
    names(&rows, "web", reason::POOL_TOO_SMALL, Intervention::EnlargePool);
}

#[test]
fn a_database_without_free_connections_is_exhausted() {
    let rows = [
        SLOW,
        RATE,
        ("web", "pool_wait_seconds", 0.001, 0.5),
        ("db", "pg_connections", 40.0, 99.0),
        ("db", "max_connections", 100.0, 100.0),
        ("db", "query_duration_seconds", 0.01, 0.01),
    ];
    names(&rows, "web", reason::CONNECTIONS_EXHAUSTED, Intervention::ShrinkPools);
}

#[test]
fn a_pool_whose_connections_are_held_longer_means_a_slow_database() {
    let rows = [
        SLOW,
        RATE,
        ("web", "pool_wait_seconds", 0.001, 0.5),
        ("web", "connections_in_use", 4.0, 10.0),
        ("db", "query_duration_seconds", 0.01, 0.09),
        ("db", "cpu_utilization", 0.3, 0.9),
    ];
    names(&rows, "db", reason::DATABASE_SLOW, Intervention::Query);
}

#[test]
fn little_s_law_tells_a_slow_database_without_query_times() {
    let rows =
        [SLOW, RATE, ("web", "pool_wait_seconds", 0.001, 0.5), ("web", "connections_in_use", 4.0, 10.0)];
    names(&rows, "web", reason::DATABASE_SLOW, Intervention::Query);
}

#[test]
fn without_connections_in_use_pool_and_database_are_not_told_apart() {
    let diagnosis = diagnose(&observation(&[SLOW, RATE, ("web", "pool_wait_seconds", 0.001, 0.5)]));
    let Verdict::Unknown { candidates, deciding } = &diagnosis.verdict else { panic!("{diagnosis:?}") };
    let causes = candidates.each_ref().map(|(_, cause)| *cause);
    assert_eq!(causes, [reason::POOL_TOO_SMALL, reason::DATABASE_SLOW]);
    assert_eq!(deciding, "the connections in use of the pool of web");
    assert_eq!(diagnosis.intervention(), Intervention::Nothing);
}

#[test]
fn sessions_that_wait_for_a_lock_are_named() {
    let rows = [SLOW, RATE, ("db", "query_duration_seconds", 0.01, 0.09), ("db", "lock_waits", 1.0, 12.0)];
    names(&rows, "db", reason::LOCK_WAIT, Intervention::Query);
}

#[test]
fn a_cache_that_evicts_and_misses_is_named() {
    let rows = [SLOW, RATE, ("cache", "hit_ratio", 0.95, 0.7), ("cache", "evicted_keys", 0.0, 50.0)];
    names(&rows, "cache", reason::CACHE_MISSES, Intervention::Cache);
}

#[test]
fn a_replica_that_is_behind_is_named() {
    let rows = [SLOW, RATE, ("db", "replication_lag_seconds", 0.1, 8.0)];
    names(&rows, "db", reason::REPLICA_LAG, Intervention::HoldReplicas);
}

#[test]
fn memory_near_its_limit_is_named() {
    let rows = [SLOW, RATE, ("web", "memory_utilization", 0.5, 0.97), ("web", "cpu_utilization", 0.3, 0.35)];
    names(&rows, "web", reason::MEMORY_SATURATED, Intervention::MoreMemory);
}

#[test]
fn throttling_is_named_where_the_mean_use_is_low() {
    let rows = [SLOW, RATE, ("web", "cpu_utilization", 0.4, 0.45), ("web", "cpu_throttled_share", 0.01, 0.6)];
    names(&rows, "web", reason::CPU_THROTTLED, Intervention::MoreCpu);
}

#[test]
fn slow_calls_to_what_is_not_measured_are_external() {
    let rows = [
        SLOW,
        RATE,
        ("web", "client_latency_seconds", 0.05, 0.7),
        ("web", "call_timeouts", 0.0, 3.0),
        ("web", "cpu_utilization", 0.3, 0.2),
    ];
    names(&rows, "web", reason::EXTERNAL_LATENCY, Intervention::CircuitBreaker);
}

#[test]
fn a_callee_without_resources_is_outside() {
    let rows = [SLOW, RATE, ("web", "cpu_utilization", 0.3, 0.2), ("provider", "latency_seconds", 0.05, 0.7)];
    names(&rows, "provider", reason::EXTERNAL_LATENCY, Intervention::CircuitBreaker);
}

#[test]
fn an_open_breaker_names_the_dependency() {
    let rows = [("web", "error_share", 0.001, 0.4), RATE, ("web", "circuit_breaker_open", 0.0, 1.0)];
    names(&rows, "web", reason::DEPENDENCY_FAILS, Intervention::CircuitBreaker);
}

#[test]
fn jobs_that_wait_are_named() {
    let rows = [("web", "jobs_queue_depth", 20.0, 900.0), ("web", "jobs_oldest_age_seconds", 1.0, 90.0)];
    names(&rows, "web", reason::BACKLOG_GROWS, Intervention::MorePods);
}

#[test]
fn requests_that_queue_ask_for_more_pods() {
    let rows = [SLOW, RATE, ("web", "queue_time_seconds", 0.001, 0.6), ("web", "cpu_utilization", 0.4, 0.5)];
    names(&rows, "web", reason::QUEUEING, Intervention::MorePods);
}

#[test]
fn capacity_that_is_not_granted_comes_before_what_it_would_cure() {
    let rows = [SLOW, RATE, ("web", "cpu_utilization", 0.5, 0.99), ("web", "pending_pods", 0.0, 3.0)];
    names(&rows, "web", reason::CAPACITY_NOT_GRANTED, Intervention::Capacity);
}

#[test]
fn a_retry_storm_is_sustained_overload_and_not_load() {
    let storm = |first: f64| {
        [
            SLOW,
            ("web", "requests_per_second", 100.0, first),
            ("web", "retry_attempts", 102.0, 300.0),
            ("web", "error_share", 0.001, 0.6),
            ("web", "cpu_utilization", 0.5, 0.99),
        ]
    };
    let diagnosis = diagnose(&observation(&storm(100.0)));
    let Verdict::Unknown { candidates, .. } = &diagnosis.verdict else {
        names(&storm(100.0), "web", reason::SUSTAINED_OVERLOAD, Intervention::ShedLoad);
        return;
    };
    panic!("{candidates:?}");
}

#[test]
fn a_storm_in_which_every_request_fails_is_one_too() {
    for failures in [1.0, 1.002] {
        let rows = [
            SLOW,
            RATE,
            ("web", "retries_per_second", 1.0, 90.0),
            ("web", "failure_share", 0.001, failures),
            ("web", "cpu_utilization", 0.5, 0.99),
        ];
        names(&rows, "web", reason::SUSTAINED_OVERLOAD, Intervention::ShedLoad);
    }
}

#[test]
fn repeated_calls_of_half_a_minute_are_no_storm_yet() {
    let rows = [SLOW, RATE, ("web", "retries_per_second", 1.0, 90.0), ("web", "error_share", 0.001, 0.9)];
    names(&rows, "web", reason::SUSTAINED_OVERLOAD, Intervention::ShedLoad);
    let mut observation = observation(&rows);
    for series in observation.nodes.values_mut().flatten() {
        for (at, value) in &mut series.samples {
            if series.name == "retries_per_second" && *at < 730.0 {
                *value = if *at < 600.0 { 1.0 } else { 20.0 };
            }
        }
    }
    let diagnosis = diagnose(&observation);
    let Verdict::Unknown { deciding, .. } = &diagnosis.verdict else { panic!("{diagnosis:?}") };
    assert_eq!(deciding, "the latency of the calls of web to cache");
}

#[test]
fn a_callee_that_nobody_measures_may_be_slow() {
    let mut rows =
        vec![SLOW, RATE, ("db", "query_duration_seconds", 0.01, 0.01), ("cache", "hit_ratio", 0.9, 0.9)];
    let diagnosis = diagnose(&observation(&rows));
    let Verdict::Unknown { deciding, .. } = &diagnosis.verdict else { panic!("{diagnosis:?}") };
    assert_eq!(deciding, "the latency of the calls of web to provider");
    rows.push(("web", "client_latency_seconds", 0.02, 0.02));
    let diagnosis = diagnose(&observation(&rows));
    assert!(matches!(diagnosis.verdict, Verdict::NotAScalingProblem { .. }), "{diagnosis:?}");
}

#[test]
fn what_nobody_waits_for_is_last_where_the_symptom_is_not_measured() {
    let rows = [("web", "latency_seconds", 0.1, 0.1), RATE, ("mailer", "latency_seconds", 1.0, 10.0)];
    let symptom = Symptom { node: "web".into(), series: "latency_seconds".into() };
    let diagnosis = diagnose(&Observation { symptom: Some(symptom), ..observation(&rows) });
    assert_eq!(diagnosis.ranking, ["web", "mailer"]);
    assert!(matches!(diagnosis.verdict, Verdict::NotAScalingProblem { .. }), "{diagnosis:?}");
}

#[test]
fn a_pool_that_waits_now_and_then_is_healthy() {
    let rows = [
        ("web", "latency_seconds", 0.1, 0.101),
        RATE,
        ("web", "pool_wait_seconds", 0.01, 0.011),
        ("db", "query_duration_seconds", 0.01, 0.01),
    ];
    let quiet = Observation { told: false, ..observation(&rows) };
    assert_eq!(diagnose(&quiet).verdict, Verdict::Healthy);
}
