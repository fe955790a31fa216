//! What `decide` promises, case by case.
#![allow(clippy::expect_used, reason = "clippy sees tests only in functions marked as such")]

mod fixture;

use fixture::{Component, cpu, latency, metric, rate, trend};
use jiff::SignedDuration;
use scalableapp_engine::behavior::{Limit, Policy};
use scalableapp_engine::fallback::Fallback;
use scalableapp_engine::memory::Memory;
use scalableapp_engine::metric::Target;
use scalableapp_engine::overrides::Overrides;
use scalableapp_engine::record::Record;
use scalableapp_engine::sample::Reading;
use scalableapp_engine::schedule::{CronLine, Schedule, time_zone};
use scalableapp_engine::{Decision, reason};

fn value(decision: &Decision, metric: &str) -> String {
    let proposal = decision.proposals.iter().find(|proposal| proposal.metric == metric);
    proposal.expect("a proposal").value.clone()
}

fn effect(decision: &Decision, stage: &str) -> String {
    decision.stages.iter().find(|one| one.name == stage).expect("a stage").effect.clone()
}

#[test]
fn the_largest_proposal_wins_and_is_explained() {
    let mut app = Component::new(4, &[rate(50), cpu(70)]);
    app.uses_cpu(300).reads("rps", 310.0);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.reason), (7, reason::METRIC_ABOVE_TARGET));
    assert_eq!(decision.limited_by, []);
    assert_eq!(value(&decision, "rps"), "77.5/s per replica");
    assert_eq!(value(&decision, "cpu"), "30%");
    assert_eq!(effect(&decision, "signals"), "2 of 2 metrics can be evaluated");
    assert_eq!(effect(&decision, "combine"), "7 replicas, asked for by rps");
    assert_eq!(effect(&decision, "bounds"), "7 is within 1 to 20");
    assert_eq!(effect(&decision, "behavior"), "4 to 7");
    assert_eq!(
        decision.message(),
        "At least one metric is above its target and asks for more replicas. Result: from 4 to 7 replicas."
    );
}

#[test]
fn absent_metric_never_scales_in() {
    let mut app = Component::new(4, &[rate(50), cpu(70)]);
    app.behavior.scale_down.stabilization_window_seconds = 0;
    app.uses_cpu(10);
    let decision = app.act();
    assert_eq!((decision.desired, decision.hold), (4, Some(reason::SCALE_IN_NEEDS_ALL_METRICS)));
    assert_eq!(decision.invalid["rps"].reason, reason::METRIC_ABSENT);
    assert_eq!(value(&decision, "rps"), "absent: no sample");
    app.uses_cpu(10).reads("rps", 10.0);
    assert_eq!(app.decide().desired, 1, "with both metrics it does scale in");
}

#[test]
fn absent_metric_does_not_stop_scale_out() {
    let mut app = Component::new(4, &[rate(50), cpu(70)]);
    app.uses_cpu(1400);
    assert_eq!(app.decide().desired, 8);
}

#[test]
fn without_any_valid_metric_the_replicas_stay() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", f64::NAN);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.hold), (4, Some(reason::NO_VALID_METRIC)));
    assert_eq!(decision.invalid["rps"].reason, reason::METRIC_IMPLAUSIBLE);
    assert_eq!(effect(&decision, "combine"), "no metric can be evaluated: hold 4");
}

#[test]
fn a_hold_names_the_last_good_value() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", 200.0);
    app.act();
    app.later(90);
    let decision = app.decide();
    assert_eq!(value(&decision, "rps"), "stale: 90 s old; 90 s ago 50/s per replica");
    assert_eq!(decision.invalid["rps"].reason, reason::METRIC_STALE);
}

#[test]
fn two_series_where_one_is_expected_are_refused_in_words() {
    let mut app = Component::new(4, &[metric("cart", Target::Prometheus { per_replica: 1000 })]);
    let two = Reading { values: vec![1.0, 2.0], at: Some(app.now), coverage: None };
    app.readings.insert("cart".to_owned(), two);
    assert_eq!(value(&app.decide(), "cart"), "implausible: 2 series, make the query return one");
}

#[test]
fn the_surge_of_a_rollout_is_not_taken_for_demand() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", 200.0);
    let revision = |hash: &str, replicas, is_target| scalableapp_engine::rollout::Revision {
        hash: hash.to_owned(),
        replicas,
        available: replicas,
        is_target,
    };
    for _ in 0..20 {
        let revisions = [revision("a", app.replicas, false), revision("b", 1, true)];
        app.replicas = scalableapp_engine::rollout::current_replicas(&revisions, Some(app.replicas));
        app.act();
        app.later(15).reads("rps", 200.0);
    }
    assert_eq!(app.replicas, 4);
}

#[test]
fn a_component_without_replicas_starts_at_its_minimum() {
    let mut app = Component::new(0, &[rate(50)]);
    app.min = 2;
    let decision = app.act();
    assert_eq!((decision.desired, decision.reason, decision.change), (2, reason::CREATED, None));
    app.reads("rps", 1_000.0);
    assert_eq!(app.decide().desired, 6, "the first replicas use up no scale-up policy");
}

#[test]
fn bounds_act_at_once_and_whatever_the_metrics_say() {
    let mut app = Component::new(12, &[rate(50)]);
    app.max = 10;
    let decision = app.decide();
    assert_eq!((decision.desired, decision.reason), (10, reason::ABOVE_MAX_REPLICAS));
    assert_eq!(decision.limited_by, [reason::MAX_REPLICAS]);
    app.replicas = 2;
    app.min = 3;
    assert_eq!((app.decide().desired, app.decide().reason), (3, reason::BELOW_MIN_REPLICAS));
}

#[test]
fn what_limits_is_named() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", 1_000.0);
    let decision = app.act();
    assert_eq!((decision.desired, decision.limited_by), (8, vec![reason::SCALE_UP_LIMIT]));
    app.later(15).reads("rps", 10_000.0);
    app.act();
    app.later(15).reads("rps", 10_000.0);
    let decision = app.act();
    assert_eq!((decision.desired, decision.limited_by), (20, vec![reason::MAX_REPLICAS]));
    app.later(15).reads("rps", 0.0);
    let decision = app.act();
    let lingering = [reason::MAX_REPLICAS, reason::SCALE_DOWN_STABILIZED];
    assert_eq!((decision.desired, &decision.limited_by[..]), (20, &lingering[..]));
    assert_eq!(effect(&decision, "behavior"), "20 by the recommendations of the last 300 s; stays 20");
    app.later(301).reads("rps", 0.0);
    let decision = app.act();
    assert_eq!((decision.desired, decision.limited_by), (1, vec![reason::MIN_REPLICAS]));
}

#[test]
fn load_that_hovers_at_a_limit_does_not_change_what_is_named() {
    let mut app = Component::new(2, &[rate(50)]);
    app.min = 2;
    for round in 0..100 {
        app.later(5).reads("rps", if round % 2 == 0 { 40.0 } else { 95.0 });
        assert_eq!(app.act().limited_by, [reason::MIN_REPLICAS], "round {round}");
    }
    app.later(301).reads("rps", 95.0);
    assert_eq!(app.act().limited_by, []);
}

#[test]
fn without_metrics_the_replicas_are_fixed() {
    let mut app = Component::new(4, &[]);
    (app.min, app.max) = (4, 4);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.reason), (4, reason::FIXED_REPLICAS));
}

/// From 8:00 to 18:00 UTC; the fixture's clock starts at 8:00 on a Friday.
fn office_hours(min_replicas: i32) -> Schedule {
    Schedule {
        name: "office-hours".to_owned(),
        time_zone: time_zone("UTC").expect("a time zone"),
        from: CronLine::parse("0 8 * * *").expect("a cron line"),
        to: CronLine::parse("0 18 * * *").expect("a cron line"),
        min_replicas,
    }
}

#[test]
fn a_schedule_raises_the_floor_at_once_and_says_so() {
    let mut app = Component::new(2, &[rate(50)]);
    app.schedules = vec![office_hours(6)];
    let decision = app.reads("rps", 90.0).act();
    assert_eq!((decision.desired, decision.reason), (6, reason::SCHEDULE));
    assert_eq!(decision.limited_by, [reason::SCHEDULE]);
    assert_eq!(effect(&decision, "bounds"), "2 is below schedule office-hours 6: acts at once");

    app.later(5).reads("rps", 90.0);
    let decision = app.act();
    assert_eq!((decision.desired, decision.limited_by.as_slice()), (6, &[reason::SCHEDULE][..]));
    assert_eq!(effect(&decision, "bounds"), "2 is below schedule office-hours 6");

    let decision = app.later(10 * 3600).reads("rps", 90.0).act();
    assert_eq!((decision.desired, decision.reason), (2, reason::ALL_METRICS_BELOW_TARGET));
}

#[test]
fn the_maximum_wins_over_a_schedule_and_both_are_named() {
    let mut app = Component::new(2, &[rate(50)]);
    app.schedules = vec![office_hours(30)];
    let decision = app.reads("rps", 90.0).act();
    assert_eq!(decision.desired, 20);
    assert_eq!(decision.limited_by, [reason::MAX_REPLICAS, reason::SCHEDULE]);
    assert_eq!(effect(&decision, "bounds"), "schedule office-hours 30 is above maxReplicas 20, which wins");
}

#[test]
fn a_schedule_needs_no_metric() {
    let mut app = Component::new(2, &[]);
    (app.min, app.schedules) = (2, vec![office_hours(6)]);
    assert_eq!(app.act().desired, 6);
    app.later(10 * 3600);
    let decision = app.act();
    assert_eq!((decision.desired, decision.reason), (2, reason::FIXED_REPLICAS));
}

#[test]
fn a_schedule_needs_no_fresh_evidence() {
    let mut app = Component::new(2, &[rate(50)]);
    app.schedules = vec![office_hours(6)];
    assert_eq!(app.decide().desired, 6);
}

/// A component of 4 replicas whose load rises by 1/s each second from 100/s on; it was observed for that long.
fn rising(seconds: i64) -> (Component, Decision) {
    let mut app = Component::new(4, &[rate(50)]);
    (app.max, app.forecast) = (40, trend(60));
    let mut decision = app.reads("rps", 100.0).act();
    for second in (5..=seconds).step_by(5) {
        decision = app.later(5).reads("rps", 100.0 + second as f64).act();
    }
    (app, decision)
}

#[test]
fn a_forecast_starts_the_pods_that_the_load_will_need() {
    let (_, decision) = rising(400);
    assert_eq!(effect(&decision, "forecast"), "rps: 12 for 560 in 60 s");
    assert_eq!((decision.desired, decision.limited_by.as_slice()), (12, &[reason::FORECAST][..]));
    assert_eq!(effect(&decision, "combine"), "10 replicas, asked for by rps");
}

#[test]
fn a_floor_that_was_raised_takes_nothing_from_the_metrics() {
    let mut app = Component::new(4, &[rate(50), cpu(70)]);
    app.fallback = Some(Fallback { after: SignedDuration::from_secs(60), replicas: 5 });
    app.uses_cpu(700).act();
    // No request rate for long, and CPU that asks for 8.
    let decision = app.later(60).uses_cpu(1400).decide();
    assert_eq!((decision.desired, decision.reason), (8, reason::METRIC_ABOVE_TARGET));
    let decision = app.uses_cpu(700).decide();
    assert_eq!((decision.desired, decision.reason), (5, reason::FALLBACK));
}

#[test]
fn a_forecast_that_was_not_judged_yet_only_keeps_replicas() {
    let (mut app, _) = rising(200);
    app.behavior.scale_down.stabilization_window_seconds = 0;
    let before = app.replicas;
    let decision = app.later(5).reads("rps", 10.0).act();
    assert_eq!(decision.desired, before);
    assert_eq!(decision.limited_by, [reason::FORECAST_LEARNING]);
    assert_eq!(effect(&decision, "forecast"), "rps: learning, no scale-in yet");
}

#[test]
fn a_forecast_that_was_wrong_has_no_say_and_says_so() {
    let mut app = Component::new(10, &[rate(50)]);
    (app.max, app.forecast) = (40, trend(100));
    let mut decision = app.reads("rps", 500.0).act();
    for second in (5..1000_i64).step_by(5) {
        let wave = 500.0 + (second % 200 - 100).abs() as f64;
        decision = app.later(5).reads("rps", wave).act();
    }
    assert_eq!(effect(&decision, "forecast"), "rps: errs more than \"stays as it is\", no say");
}

#[test]
fn a_failed_write_is_no_scale_event() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", 10_000.0);
    let failed = app.decide();
    app.memory = failed.memory;
    assert_eq!(app.decide().desired, 8);
    app.act();
    assert_eq!(app.decide().desired, 8, "the event uses up the policy until its period ends");
}

/// A component whose latency was inside its target at half its load.
fn calm() -> Component {
    let mut app = Component::new(4, &[rate(50), latency(300)]);
    app.reads("rps", 100.0).reads("p99", 0.120);
    app.act();
    app.later(15);
    app
}

#[test]
fn latency_asks_for_more_while_load_has_risen_with_it() {
    let mut app = calm();
    app.reads("rps", 190.0).reads("p99", 0.450);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.reason), (6, reason::METRIC_ABOVE_TARGET));
    assert_eq!(effect(&decision, "combine"), "6 replicas, asked for by p99");
}

#[test]
fn latency_alone_blames_something_else() {
    let mut app = calm();
    app.reads("rps", 100.0).reads("p99", 0.900);
    let decision = app.decide();
    assert_eq!(decision.desired, 4);
    assert_eq!(value(&decision, "p99"), "900ms; load per replica has not risen: the cause lies elsewhere");
}

#[test]
fn latency_never_asks_for_fewer_nor_blocks_scale_in() {
    let mut app = calm();
    app.behavior.scale_down.stabilization_window_seconds = 0;
    app.reads("rps", 10.0).reads("p99", 0.001);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.proposals[1].replicas), (1, None));
    app.readings.remove("p99");
    let decision = app.decide();
    assert_eq!((decision.desired, decision.invalid.len()), (1, 0));
    assert_eq!(value(&decision, "p99"), "absent: no sample; it blocks nothing");
}

#[test]
fn latency_takes_one_step_for_each_effect_that_is_seen() {
    let mut app = calm();
    app.reads("rps", 195.0).reads("p99", 0.600);
    assert_eq!(app.act().desired, 8);
    app.later(15).reads("rps", 390.0).reads("p99", 0.600);
    let unmoved = app.decide();
    assert_eq!(unmoved.desired, 8);
    assert_eq!(value(&unmoved, "p99"), "600ms; more replicas did not lower it: the cause lies elsewhere");
    app.pods.truncate(6);
    assert_eq!(value(&app.decide(), "p99"), "600ms; waits until the pods of its last step are ready");
    app.all_pods_ready();
    app.reads("p99", 0.450);
    assert_eq!(app.act().desired, 12, "it has fallen and is still too long");
}

#[test]
fn latency_that_was_never_inside_its_target_only_keeps_replicas() {
    let mut app = Component::new(4, &[rate(50), latency(300)]);
    app.behavior.scale_down.stabilization_window_seconds = 0;
    app.reads("rps", 190.0).reads("p99", 0.900);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.proposals[1].replicas), (4, None));
    assert_eq!(value(&decision, "p99"), "900ms; not yet seen inside its target under load");
    app.reads("rps", 10.0);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.reason), (4, reason::AT_TARGET));
    assert_eq!(effect(&decision, "combine"), "1 would be enough, but latency keeps 4");
}

#[test]
fn latency_at_its_target_is_content() {
    let mut app = Component::new(4, &[rate(50), latency(300)]);
    app.behavior.scale_down.stabilization_window_seconds = 0;
    app.reads("rps", 10.0).reads("p99", 0.325);
    let decision = app.decide();
    assert_eq!((decision.desired, value(&decision, "p99").as_str()), (1, "325ms"));
}

#[test]
fn a_restart_allows_no_second_step_for_the_same_effect() {
    let mut app = calm();
    app.reads("rps", 195.0).reads("p99", 0.600);
    app.act();
    app.restart().later(15).reads("rps", 390.0).reads("p99", 0.600);
    let decision = app.decide();
    assert_eq!(decision.desired, 8);
    assert_eq!(decision.memory.persist(app.now, &app.behavior).latency_step, app.status.latency_step);
}

#[test]
fn at_most_sixteen_events_are_kept_and_none_is_forgotten_early() {
    let mut app = Component::new(100, &[rate(1)]);
    app.max = 1_000;
    app.behavior.scale_up.policies[0].period_seconds = 1800;
    for replicas in 101..=150 {
        app.later(15).reads("rps", f64::from(replicas) * 1.2);
        let decision = app.decide();
        let mut change = decision.change.expect("a change");
        change.to = replicas;
        change.from = replicas - 1;
        app.memory.record(&change, &app.behavior);
        app.replicas = replicas;
    }
    let persisted = app.memory.persist(app.now, &app.behavior);
    assert_eq!(persisted.events.len(), 16);
    assert_eq!(persisted.events.iter().map(|event| event.change).sum::<i32>(), 50);
    let restored = Memory::restore(&persisted).persist(app.now, &app.behavior);
    assert_eq!(restored, persisted);
}

#[test]
fn events_known_from_the_status_give_no_credit_to_the_other_direction() {
    let mut app = Component::new(10, &[rate(50)]);
    let pods = |pods| vec![Policy { limit: Limit::Pods(pods), period_seconds: 60 }];
    app.behavior.scale_up.policies = pods(2);
    app.behavior.scale_down.policies = pods(5);
    app.behavior.scale_down.stabilization_window_seconds = 0;
    app.reads("rps", 0.0);
    assert_eq!(app.act().desired, 5);
    app.later(15).reads("rps", 1_000.0);
    assert_eq!(app.decide().desired, 12, "five that went and two more");
    assert_eq!(app.restart().decide().desired, 7);
}

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
    let many = Reading { values: vec![1.0; 1_000_000], at: Some(totals.now), coverage: None };
    for name in &names {
        totals.readings.insert(name.clone(), many.clone());
    }
    assert!(record_size(&totals) <= 2048, "{}", record_size(&totals));

    let mut pods = eight(&cpu(70).target);
    pods.uses_cpu(100);
    pods.pods[0].containers[0].name = "a".repeat(63);
    pods.pods[0].containers[0].requests.cpu = None;
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
        assert_eq!(read.input.readings["rps"].values[0].to_bits(), value.to_bits());
    }
}

#[test]
fn a_record_that_was_tampered_with_does_not_replay() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", 400.0);
    let mut record = app.record();
    assert!(record.replays());
    record.input.max_replicas = 5;
    assert!(!record.replays());
}

fn named(replicas: i32) -> Option<(i32, String)> {
    Some((replicas, "jane".to_owned()))
}

#[test]
fn an_override_gives_other_bounds_within_the_apps_own_maximum() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", 200.0);
    app.overrides = Overrides { min: named(6), ..Overrides::default() };
    let decision = app.decide();
    assert_eq!((decision.desired, decision.reason), (6, reason::OVERRIDE));
    assert_eq!(effect(&decision, "bounds"), "4 is below override jane 6: acts at once");
    app.overrides = Overrides { max: named(2), ..Overrides::default() };
    let decision = app.decide();
    assert_eq!((decision.desired, decision.limited_by), (2, vec![reason::OVERRIDE]));
    app.overrides = Overrides { min: named(50), max: named(50), ..Overrides::default() };
    let decision = app.decide();
    assert_eq!((decision.desired, decision.limited_by), (20, vec![reason::MAX_REPLICAS, reason::OVERRIDE]));
}

#[test]
fn a_hold_keeps_the_replicas_whatever_the_metrics_say() {
    let mut app = Component::new(4, &[rate(50)]);
    app.behavior.scale_down.stabilization_window_seconds = 0;
    app.overrides.hold = Some("jane".to_owned());
    for load in [1000.0, 10.0] {
        app.reads("rps", load);
        let decision = app.decide();
        assert_eq!((decision.desired, decision.limited_by), (4, vec![reason::HELD]), "{load}");
    }
    app.max = 3;
    assert_eq!(app.decide().desired, 3, "the app's own bounds still count");
}

#[test]
fn a_fallback_raises_and_never_lowers() {
    let fallback = Fallback { after: SignedDuration::from_mins(3), replicas: 6 };
    for (before, after) in [(4, 6), (9, 9)] {
        let mut app = Component::new(before, &[rate(50)]);
        app.behavior.scale_down.stabilization_window_seconds = 0;
        app.fallback = Some(fallback);
        assert_eq!(app.act().desired, before);
        assert_eq!(app.later(179).act().desired, before);
        let decision = app.later(1).act();
        assert_eq!(decision.desired, after);
        assert_eq!(app.later(600).act().desired, after);
        app.reads("rps", 100.0);
        assert_eq!(app.act().desired, 2, "with evidence it scales in again");
    }
}

#[test]
fn a_restart_does_not_hasten_a_fallback() {
    let mut app = Component::new(4, &[rate(50)]);
    app.fallback = Some(Fallback { after: SignedDuration::from_mins(3), replicas: 6 });
    app.reads("rps", 200.0).act();
    app.later(600).restart();
    assert_eq!(app.act().desired, 4);
    assert_eq!(app.later(180).act().desired, 6);
}
