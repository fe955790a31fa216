//! Memory between decisions and over a restart.

use crate::effect;
use crate::fixture::{Component, rate, restored, trend};
use scalableapp_engine::hpa::behavior::{Limit, Policy};

#[test]
fn a_failed_write_is_no_scale_event() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", 10_000.0);
    app.memory = app.decide_and_remember().1;
    assert_eq!(app.decide().desired, 8);
    app.act();
    assert_eq!(app.decide().desired, 8, "the event uses up the policy until its period ends");
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
    let restored = restored(&persisted, 150, app.now).persist(app.now, &app.behavior);
    assert_eq!(restored, persisted);
}

#[test]
fn what_was_measured_while_no_pod_existed_can_be_kept() {
    let mut app = Component::new(2, &[rate(50)]);
    app.reads("rps", 200.0);
    app.existing = Some(0);
    let (decision, memory) = app.decide_and_remember();
    let kept = memory.persist(app.now, &app.behavior);
    assert_eq!((decision.desired, kept.last_good[0].value.0.as_str()), (4, "200"));
}

#[test]
fn a_clock_that_was_ahead_slows_scaling_for_one_period_at_most() {
    let mut app = Component::new(4, &[rate(50)]);
    app.later(600).reads("rps", 10_000.0).act();
    app.later(-600).restart();
    app.reads("rps", 10_000.0);
    assert_eq!(app.act().desired, 8);
    assert_eq!(app.later(15).reads("rps", 10_000.0).act().desired, 16);
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

#[test]
fn a_metric_that_is_read_from_elsewhere_is_learned_anew() {
    let mut app = Component::new(4, &[rate(50)]);
    app.forecast = trend(30);
    for _ in 0..60 {
        app.later(5).reads("rps", 200.0).act();
    }
    assert_eq!(effect(&app.decide(), "forecast"), "rps: 4 for 200 in 30 s");
    app.memory.forget_metric("rps");
    assert_eq!(app.memory.persist(app.now, &app.behavior).last_good, []);
    assert_eq!(effect(&app.decide(), "forecast"), "rps: learning, no scale-in yet");
}
