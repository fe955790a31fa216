//! Minimum and maximum replicas: of the spec, schedules, overrides and fallback.

use crate::effect;
use crate::fixture::{Component, cpu, rate};
use jiff::SignedDuration;
use scalableapp_engine::bounds::cron::CronLine;
use scalableapp_engine::bounds::fallback::Fallback;
use scalableapp_engine::bounds::overrides::Overrides;
use scalableapp_engine::bounds::schedule::{Schedule, time_zone};
use scalableapp_engine::reason;

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
fn what_is_not_granted_stops_the_growth_and_takes_nothing() {
    let mut app = Component::new(4, &[rate(50)]);
    app.ungranted = Some(reason::PRIMARY_HAS_NO_ROOM);
    app.reads("rps", 1_000.0);
    let decision = app.act();
    assert_eq!((decision.desired, decision.limited_by.clone()), (4, vec![reason::PRIMARY_HAS_NO_ROOM]));
    assert_eq!(effect(&decision, "bounds"), "20 is above what is granted 4");
    app.min = 6;
    assert_eq!(app.act().desired, 6, "a minimum is not lowered");
    app.min = 1;
    app.later(301).reads("rps", 50.0);
    assert_eq!(app.act().desired, 1, "fewer are needed");
    app.ungranted = None;
    app.later(15).reads("rps", 1_000.0);
    assert!(app.act().desired > 1, "the primary has room again");
}

#[test]
fn what_limits_is_named() {
    let mut app = Component::new(4, &[rate(50)]);
    app.min = 2;
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
    assert_eq!(effect(&decision, "behavior"), "stabilized to 20 over the last 300 s; stays 20");
    app.later(301).reads("rps", 0.0);
    let decision = app.act();
    assert_eq!((decision.desired, decision.limited_by), (2, vec![reason::MIN_REPLICAS]));
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

/// From 8:00 to 18:00 UTC; the fixture's clock starts at 8:00 on a Friday.
pub fn office_hours(min_replicas: i32) -> Schedule {
    let [from, to] = ["0 8 * * *", "0 18 * * *"].map(|line| CronLine::parse(line).expect("a cron line"));
    Schedule::new("office-hours".to_owned(), time_zone("UTC").expect("a time zone"), from, to, min_replicas)
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

pub fn named(replicas: i32) -> Option<(i32, String)> {
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
fn what_synchronous_replication_needs_counts_more_than_an_override() {
    let mut app = Component::new(4, &[rate(50)]);
    app.behavior.scale_down.stabilization_window_seconds = 0;
    (app.min, app.required) = (1, 3);
    app.reads("rps", 10.0);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.limited_by.clone()), (3, vec![reason::SYNCHRONOUS_REPLICAS]));
    assert!(
        decision.sentence(reason::SYNCHRONOUS_REPLICAS).starts_with("At least 3 replicas by synchronous")
    );
    app.overrides = Overrides { min: named(1), max: named(1), ..Overrides::default() };
    assert_eq!(app.decide().desired, 3);
    (app.max, app.required) = (2, 5);
    let decision = app.decide();
    assert_eq!(
        (decision.desired, decision.reason),
        (5, reason::SYNCHRONOUS_REPLICAS),
        "more than maxReplicas"
    );
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
fn a_hold_restores_the_replicas_that_somebody_else_changes() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", 200.0).act();
    app.overrides.hold = Some("jane".to_owned());
    for others in [1, 9] {
        app.replicas = others;
        let decision = app.decide();
        assert_eq!((decision.desired, decision.reason), (4, reason::HELD));
        assert!(decision.message().starts_with("Exactly 4 replicas by override jane."), "{others}");
    }
}

#[test]
fn replicas_that_somebody_else_lowers_are_restored_while_a_metric_is_missing() {
    let mut app = Component::new(5, &[rate(50)]);
    app.reads("rps", 250.0).act();
    for (others, restored) in [(1, 5), (0, 5), (5, 5), (9, 9)] {
        let mut app = app.clone();
        app.readings.clear();
        app.replicas = others;
        assert_eq!(app.act().desired, restored, "somebody else wrote {others}");
        assert_eq!(app.act().desired, restored);
    }
    app.replicas = 1;
    assert_eq!(app.reads("rps", 40.0).act().desired, 1, "with fresh evidence they are where scaling starts");
    assert_eq!(app.reads("rps", 250.0).act().desired, 5);
    app.readings.clear();
    (app.replicas, app.max) = (0, 3);
    let decision = app.act();
    assert_eq!((decision.desired, decision.reason), (3, reason::LAST_DECISION), "at most maxReplicas");
}

#[test]
fn a_hold_keeps_the_replicas_also_where_a_fallback_wants_more() {
    let mut app = Component::new(4, &[rate(50)]);
    app.fallback = Some(Fallback { after: SignedDuration::ZERO, replicas: 6 });
    app.overrides.hold = Some("jane".to_owned());
    let decision = app.decide();
    assert_eq!((decision.desired, decision.limited_by), (4, vec![reason::HELD, reason::FALLBACK]));
    app.overrides.hold = None;
    assert_eq!(app.decide().desired, 6);
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

#[test]
fn a_floor_that_was_raised_takes_nothing_from_the_metrics() {
    let mut app = Component::new(4, &[rate(50), cpu(70)]);
    app.fallback = Some(Fallback { after: SignedDuration::from_secs(60), replicas: 5 });
    app.uses_cpu(700).act();
    // No request rate for long, and CPU that proposes 8.
    let decision = app.later(60).uses_cpu(1400).decide();
    assert_eq!((decision.desired, decision.reason), (8, reason::METRIC_ABOVE_TARGET));
    let decision = app.uses_cpu(700).decide();
    assert_eq!((decision.desired, decision.reason), (5, reason::FALLBACK));
}
