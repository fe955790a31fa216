//! Records of decisions.

use crate::fixture::{Component, NAME, cpu, latency, metric, rate};
use scalableapp_engine::evidence::sample::Reading;
use scalableapp_engine::hpa::pod::{ByResource, Container};
use scalableapp_engine::propose::metric::Target;
use scalableapp_engine::record::Record;
use std::sync::Arc;

fn record_size(app: &Component) -> usize {
    serde_json::to_string(&app.decide().record(app.now)).expect("JSON").len()
}

/// Eight metrics with the longest names, on as many replicas as there may be.
fn eight(target: &Target) -> Component {
    let names = (0..8).map(|index| format!("a-metric-of-length-{index}"));
    let metrics: Vec<_> = names.map(|name| metric(&name, target.clone())).collect();
    let mut app = Component::new(10_000, &metrics);
    app.max = 10_000;
    app
}

#[test]
fn a_record_of_eight_metrics_stays_within_two_kibibytes() {
    let mut totals = eight(&Target::Prometheus { per_replica: 123_456_789_012 });
    let names: Vec<String> = totals.metrics.iter().map(|metric| metric.name.clone()).collect();
    for name in &names {
        totals.reads(name, 1_234_567_890_123.456);
    }
    assert!(record_size(&totals) <= 2048, "{}", record_size(&totals));
    totals.act();
    totals.later(1_000_000_000);
    let many = Reading { values: vec![1.0; 1_000_000], at: Some(totals.now), ..Reading::default() };
    for name in &names {
        totals.readings.insert(name.clone(), many.clone());
    }
    assert!(record_size(&totals) <= 2048, "{}", record_size(&totals));

    let mut pods = eight(&cpu(70).target);
    pods.uses_cpu(100);
    pods.pods[0].containers = [Container { name: "a".repeat(63), requests: ByResource::default() }].into();
    assert!(record_size(&pods) <= 2048, "{}", record_size(&pods));

    let mut latencies = eight(&latency(300_123).target);
    latencies.metrics[0] = rate(50);
    latencies.reads("rps", 500_000.0);
    for name in &names {
        latencies.reads(name, 1.0);
    }
    latencies.act();
    for name in &names {
        latencies.reads(name, 3_599.123_456);
    }
    assert!(record_size(&latencies) <= 2048, "{}", record_size(&latencies));
}

#[test]
fn what_json_cannot_say_is_recorded_all_the_same() {
    let mut app = Component::new(4, &[rate(50)]);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1 + 0.2] {
        app.reads("rps", value);
        let written = serde_json::to_string(&app.record()).expect("a line");
        let read: Record = serde_json::from_str(&written).expect("a record");
        assert!(read.replays(), "{written}");
        assert_eq!(read.input.evidence.readings[NAME]["rps"].values[0].to_bits(), value.to_bits());
    }
}

#[test]
fn a_record_that_was_tampered_with_does_not_replay() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", 400.0);
    let mut record = app.record();
    assert!(record.replays());
    let web = record.input.stack.components.get_mut(NAME).expect("the component");
    Arc::make_mut(web).max_replicas = 5;
    assert!(!record.replays());
}

#[test]
fn records_of_an_earlier_version_are_read_and_lead_to_the_same_decision() {
    let files = [
        include_str!("../records/2026-11-29.jsonl"),
        include_str!("../records/2026-11-29-af0909f.jsonl"),
        include_str!("../records/2026-11-30.jsonl"),
    ];
    for records in files {
        assert!(records.lines().count() > 10);
        for line in records.lines() {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let version = value.get("version").and_then(serde_json::Value::as_u64);
            assert!(Record::read(version, value).expect("a record").replays(), "{line}");
        }
    }
}

#[test]
fn a_record_holds_what_the_decision_read_and_nothing_else() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", 400.0).reads("of another app", 1.0).uses_cpu(500);
    let record = app.record();
    let read: Vec<&str> = record.input.evidence.readings[NAME].keys().map(String::as_str).collect();
    assert_eq!((read, record.input.evidence.usage.len()), (vec!["rps"], 0), "no metric reads the CPU");
    assert!(record.replays());
    let mut without = record;
    without.input.evidence.readings.clear();
    assert!(!without.replays());
}
