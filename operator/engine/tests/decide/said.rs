//! The reason of a decision is true, is named while its cause lasts, and disappears when it ends.

use crate::bounds::{named, office_hours};
use crate::fixture::{Component, cpu, rate};
use crate::value;
use jiff::SignedDuration;
use scalableapp_engine::ComponentDecision;
use scalableapp_engine::bounds::fallback::Fallback;
use scalableapp_engine::bounds::overrides::Overrides;
use scalableapp_engine::hpa::pod::Phase;
use scalableapp_engine::reason::{self, Reason};

/// Longer than a limit of load is named after it was last active.
const LONG: i64 = 120;

fn limits(decision: &ComponentDecision) -> Vec<&'static str> {
    decision.limited_by.iter().map(|limit| limit.name).collect()
}

/// The reason, which must also be in the message and, where something limits, in the first limit.
fn said(decision: &ComponentDecision) -> String {
    let ComponentDecision { reason, .. } = decision;
    let message = decision.message();
    assert!(message.starts_with(&decision.sentence(*reason)), "{message}");
    let first = decision.limited_by.first().copied().unwrap_or(*reason);
    assert!(decision.desired != decision.current || decision.hold.is_some() || first == *reason, "{message}");
    let limits = limits(decision);
    assert_eq!(
        message.contains(&format!("limited by {}", limits.join(", "))),
        !limits.is_empty(),
        "{message}"
    );
    message
}

#[test]
fn a_schedule_that_holds_replicas_is_named_until_it_ends() {
    for metrics in [&[][..], &[rate(50)]] {
        let mut app = Component::new(1, metrics);
        app.schedules = vec![office_hours(2)];
        app.act();
        let decision = app.later(LONG).act();
        let words =
            "At least 2 replicas by schedule office-hours. Result: 2 replicas stay, limited by Schedule.";
        assert_eq!((said(&decision).as_str(), decision.hold), (words, None));
        app.later(10 * 3600).act();
        assert!(!limits(&app.later(1).act()).contains(&"Schedule"));
    }
}

#[test]
fn a_fallback_that_holds_replicas_is_named_until_there_is_evidence() {
    let mut app = Component::new(1, &[rate(50)]);
    app.fallback = Some(Fallback { after: SignedDuration::from_secs(60), replicas: 2 });
    let decision = app.act();
    assert_eq!((decision.reason, decision.hold), (reason::NO_VALID_METRIC, Some(reason::NO_VALID_METRIC)));
    assert_eq!(app.later(60).act().reason, reason::FALLBACK);
    let decision = app.later(LONG).act();
    let words = "At least 2 replicas by fallback without rps. Result: 2 replicas stay, limited by Fallback.";
    assert_eq!((said(&decision).as_str(), decision.hold), (words, None));
    app.reads("rps", 90.0);
    assert_eq!(limits(&app.act()), [""; 0]);
}

#[test]
fn what_people_ask_for_is_named_while_it_is_asked_for_and_no_longer() {
    let mut app = Component::new(4, &[rate(50)]);
    for (overrides, words) in [
        (
            Overrides { hold: Some("jane".to_owned()), ..Overrides::default() },
            "Exactly 4 replicas by override jane.",
        ),
        (Overrides { max: named(4), ..Overrides::default() }, "At most 4 replicas by override jane."),
        (
            Overrides { min: named(4), max: named(4), ..Overrides::default() },
            "Exactly 4 replicas by override jane.",
        ),
    ] {
        app.overrides = overrides;
        for load in [200.0, 900.0] {
            app.later(LONG).reads("rps", load).act();
            let message = said(&app.later(1).act());
            assert!(load < 900.0 || message.starts_with(words), "{message}");
        }
        app.readings.clear();
        let decision = app.later(LONG).act();
        assert!(said(&decision).starts_with(words) && decision.hold.is_none(), "{:?}", decision.limited_by);
        app.overrides = Overrides::default();
        app.later(1).reads("rps", 200.0);
        assert_eq!(limits(&app.decide()), [""; 0]);
    }
}

#[test]
fn one_replica_is_limited_by_no_minimum() {
    let mut app = Component::new(1, &[rate(50)]);
    for load in [0.0, 10.0] {
        let decision = app.later(5).reads("rps", load).act();
        assert_eq!(limits(&decision), [""; 0]);
        assert!(said(&decision).ends_with("Result: 1 replica stays."));
    }
}

#[test]
fn a_bound_that_the_metrics_do_not_meet_limits_nothing() {
    let mut app = Component::new(2, &[rate(50)]);
    app.min = 3;
    let decision = app.reads("rps", 150.0).act();
    assert_eq!((decision.reason, limits(&decision)), (reason::BELOW_MIN_REPLICAS, vec![]));
    app.max = 3;
    app.replicas = 5;
    let decision = app.act();
    assert_eq!((decision.reason, limits(&decision)), (reason::ABOVE_MAX_REPLICAS, vec![]));
}

#[test]
fn what_wins_over_what_is_said_with_both() {
    let mut app = Component::new(4, &[rate(50)]);
    app.max = 4;
    app.schedules = vec![office_hours(6)];
    let decision = app.reads("rps", 40.0).act();
    let words = "At most 4 replicas by maxReplicas, which wins over 6 by schedule office-hours.";
    assert_eq!((decision.reason, decision.sentence(decision.reason).as_str()), (reason::MAX_REPLICAS, words));
    app.schedules.clear();
    app.min = 3;
    app.overrides = Overrides { max: named(2), ..Overrides::default() };
    app.later(1).act();
    let message = said(&app.later(1).act());
    let words = "At most 2 replicas by override jane, which wins over 3 by minReplicas.";
    assert!(message.starts_with(words), "{message}");
}

#[test]
fn load_that_hovers_at_a_limit_does_not_change_the_reason() {
    let mut app = Component::new(3, &[rate(50)]);
    (app.min, app.max) = (2, 3);
    let mut reasons: Vec<Reason> = Vec::new();
    for round in 0..60 {
        // More than three, then two, then three.
        app.later(5).reads("rps", [300.0, 90.0, 150.0][round % 3]);
        let decision = app.act();
        said(&decision);
        reasons.push(decision.reason);
    }
    assert_eq!(reasons, [reason::MAX_REPLICAS; 60]);
}

#[test]
fn pods_whose_usage_is_assumed_are_said_beside_the_value_that_they_change() {
    let mut app = Component::new(3, &[cpu(80)]);
    app.uses_cpu(50);
    app.pods[1].usage.cpu = None;
    app.pods[2].usage.cpu = None;
    let decision = app.decide();
    assert_eq!(value(&decision, "cpu"), "5%; 2 pods without a sample count as 100%");
    app.uses_cpu(1500);
    app.pods[2].phase = Phase::Pending;
    let decision = app.decide();
    assert_eq!(value(&decision, "cpu"), "150%; 1 pod without a sample or starting counts as 0%");
    app.all_pods_ready();
    app.pods.clear();
    assert_eq!(value(&app.decide(), "cpu"), "absent: the component has no pods");
}

#[test]
fn a_limit_of_load_is_not_named_where_nothing_is_known_of_the_load() {
    let mut app = Component::new(4, &[rate(50)]);
    app.max = 4;
    assert_eq!(limits(&app.reads("rps", 900.0).act()), ["MaxReplicas"]);
    app.readings.clear();
    let decision = app.later(5).act();
    assert_eq!((decision.reason, limits(&decision)), (reason::NO_VALID_METRIC, vec![]));
}
