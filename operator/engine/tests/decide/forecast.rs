//! When a forecast raises the minimum replicas.

use crate::effect;
use crate::fixture::{Component, rate, trend};
use scalableapp_engine::{ComponentDecision, reason};

/// A component of 4 replicas whose load rises by 1/s each second from 100/s on; it was observed for that long.
fn rising(seconds: i64) -> (Component, ComponentDecision) {
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
    assert_eq!(effect(&decision, "recommendation"), "10 recommended by rps");
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
    assert_eq!(
        effect(&decision, "forecast"),
        "rps: its error is larger than that of a constant load, not used"
    );
}
