//! The request rate of a short window: it may ask for more replicas, and nothing else.

use crate::effect;
use crate::fixture::{Component, cpu, rate};
use jiff::SignedDuration;
use scalableapp_engine::evidence::recent::RecentRate;
use scalableapp_engine::reason;

/// Two pods for 50/s each, of which the last minute saw a share, and the last 20 s all of the load.
fn step(minute: f64, seconds: f64) -> Component {
    let mut app = Component::new(2, &[rate(50)]);
    app.rates(minute);
    app.recently(seconds);
    app
}

#[test]
fn a_step_in_the_load_scales_out_before_the_long_window_shows_it() {
    let mut app = step(105.0, 200.0);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.reason), (4, reason::RECENT_RATE_ABOVE_TARGET));
    assert_eq!(effect(&decision, "recent rate"), "rps: 4 for at least 180.2/s in the last 20 s");
    assert_eq!(effect(&decision, "recommendation"), "4 recommended by rps in the last seconds");
    assert_eq!(decision.proposals[0].replicas, Some(2), "the long window is HPA's");
    app.recent_rate = None;
    assert_eq!(app.decide().desired, 2);
}

#[test]
fn the_long_window_is_the_reason_where_it_asks_for_as_much() {
    let decision = step(200.0, 205.0).decide();
    assert_eq!((decision.desired, decision.reason), (4, reason::METRIC_ABOVE_TARGET));
    assert!(decision.stages.iter().all(|stage| stage.name != "recent rate"), "{:?}", decision.stages);
}

#[test]
fn the_bounds_and_the_behavior_limit_it_as_any_proposal() {
    let mut app = step(105.0, 2_000.0);
    assert_eq!(app.decide().desired, 6, "four pods in 15 s");
    app.max = 3;
    assert_eq!(app.decide().desired, 3);
}

#[test]
fn it_neither_hastens_nor_delays_a_scale_in() {
    for recently in [0.0, 20.0, 100.0, 190.0] {
        let mut app = Component::new(4, &[rate(50)]);
        app.behavior.scale_down.stabilization_window_seconds = 0;
        app.rates(40.0);
        app.recently(recently);
        assert_eq!(app.decide().desired, 1, "{recently}/s");
    }
}

#[test]
fn a_short_window_with_a_doubt_is_ignored() {
    type Doubt = fn(&mut Component, &mut RecentRate);
    let doubts: [(&str, Doubt); 7] = [
        ("no age", |_, recent| recent.at = None),
        ("old", |app, recent| recent.at = Some(app.now - SignedDuration::from_secs(21))),
        ("a pod is missing", |_, recent| recent.pods = 1),
        ("no pod is scraped often enough", |app, recent| {
            app.pods.iter_mut().for_each(|pod| pod.ready = None);
            recent.pods = 0;
        }),
        ("a counter was reset", |_, recent| recent.resets = 1),
        ("not a number", |_, recent| recent.rate = f64::NAN),
        ("infinite", |_, recent| recent.rate = f64::INFINITY),
    ];
    for (doubt, make) in doubts {
        let mut app = step(105.0, 200.0);
        let mut recent = app.recent_rate.expect("a rate");
        make(&mut app, &mut recent);
        app.recent_rate = Some(recent);
        assert_eq!(app.decide().desired, 2, "{doubt}");
    }
}

#[test]
fn pods_younger_than_the_window_are_not_missed() {
    let mut app = step(105.0, 200.0);
    let since = app.now - SignedDuration::from_secs(19);
    app.pods[1].ready.as_mut().expect("ready").since = since;
    app.recent_rate.as_mut().expect("a rate").pods = 1;
    assert_eq!(app.decide().desired, 4);
}

#[test]
fn without_a_valid_long_window_it_asks_for_nothing() {
    let mut app = step(105.0, 200.0);
    app.readings.clear();
    assert_eq!(app.decide().hold, Some(reason::NO_VALID_METRIC));
    app.rates(105.0).is_partial = true;
    assert_eq!(app.decide().desired, 2);
}

#[test]
fn it_scales_out_while_another_metric_is_missing() {
    let mut app = Component::new(2, &[rate(50), cpu(70)]);
    app.rates(105.0);
    app.recently(200.0);
    assert_eq!(app.decide().desired, 4);
}
