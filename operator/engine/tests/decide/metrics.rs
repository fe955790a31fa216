//! The recommendation of all metrics, and the effect of a missing one.

use crate::fixture::{Component, cpu, metric, rate};
use crate::{effect, value};
use scalableapp_engine::evidence::sample::Reading;
use scalableapp_engine::hpa::pod::{ByResource, Container, Phase};
use scalableapp_engine::propose::metric::Target;
use scalableapp_engine::reason;

#[test]
fn the_largest_proposal_wins_and_is_explained() {
    let mut app = Component::new(4, &[rate(50), cpu(70)]);
    app.uses_cpu(300).reads("rps", 310.0);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.reason), (7, reason::METRIC_ABOVE_TARGET));
    assert_eq!(decision.limited_by, []);
    assert_eq!(value(&decision, "rps"), "77.5/s per replica");
    assert_eq!(value(&decision, "cpu"), "30%");
    assert_eq!(effect(&decision, "evidence"), "2 of 2 metrics can be evaluated");
    assert_eq!(effect(&decision, "recommendation"), "7 recommended by rps");
    assert_eq!(effect(&decision, "bounds"), "7 is within 1 to 20");
    assert_eq!(effect(&decision, "behavior"), "4 to 7");
    assert_eq!(
        decision.message(),
        "At least one metric is above its target, so more replicas are needed. Result: from 4 to 7 replicas."
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
    assert_eq!(effect(&decision, "recommendation"), "no metric can be evaluated: stays 4");
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
    let two = Reading { values: vec![1.0, 2.0], at: Some(app.now), ..Reading::default() };
    app.readings.insert("cart".to_owned(), two);
    assert_eq!(value(&app.decide(), "cart"), "implausible: 2 series, make the query return one");
}

#[test]
fn a_large_value_asks_for_the_most_replicas_that_the_bounds_allow() {
    for (value, per_replica, replicas) in [
        (1e13, 1 << 50, 9),
        (1e13, 1000, 40),
        (1e18, i64::MAX, 40),
        (1e300, i64::MAX, 40),
        (2e16, i64::MAX, 3),
    ] {
        let mut app = Component::new(1, &[metric("cart", Target::Prometheus { per_replica })]);
        app.max = 40;
        for _ in 0..6 {
            app.reads("cart", value);
            app.act();
            app.later(60);
        }
        assert_eq!(app.replicas, replicas, "{value} with {per_replica} thousandths each");
    }
}

#[test]
fn the_surge_of_a_rollout_is_not_taken_for_demand() {
    let mut app = Component::new(4, &[rate(50)]);
    app.reads("rps", 200.0);
    let revision = |hash: &str, replicas, is_target| scalableapp_engine::rollout::rolling::Revision {
        hash: hash.to_owned(),
        replicas,
        available: replicas,
        is_target,
    };
    for _ in 0..20 {
        let revisions = [revision("a", app.replicas, false), revision("b", 1, true)];
        app.replicas = scalableapp_engine::rollout::rolling::current_replicas(&revisions, Some(app.replicas));
        app.act();
        app.later(15).reads("rps", 200.0);
    }
    assert_eq!(app.replicas, 4);
    app.reads("rps", 215.0);
    app.existing = Some(5);
    assert_eq!(app.decide().desired, 4, "within the tolerance of what is asked for");
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
fn without_metrics_the_replicas_are_fixed() {
    let mut app = Component::new(4, &[]);
    (app.min, app.max) = (4, 4);
    let decision = app.decide();
    assert_eq!((decision.desired, decision.reason), (4, reason::FIXED_REPLICAS));
}

#[test]
fn pods_that_have_ended_are_no_capacity() {
    for phase in [Phase::Succeeded, Phase::Failed] {
        for (milli, replicas) in [(1500, 7), (50, 1)] {
            let mut app = Component::new(4, &[cpu(90)]);
            app.behavior.scale_down.stabilization_window_seconds = 0;
            app.uses_cpu(milli);
            let ended = app.pods[0].clone();
            for index in 0..3 {
                let mut ended = ended.clone();
                (ended.name, ended.phase, ended.usage) =
                    (format!("ended-{index}").into(), phase, ByResource::default());
                app.pods.push(ended);
            }
            assert_eq!(app.decide().desired, replicas, "{phase:?} beside 4 at {milli}m");
        }
    }
}

#[test]
fn a_missing_request_names_the_pod_and_the_container() {
    let mut app = Component::new(1, &[cpu(70)]);
    app.uses_cpu(100).pods[0].containers =
        [Container { name: "proxy".to_owned(), requests: ByResource::default() }].into();
    let invalid = &app.decide().invalid["cpu"];
    let said = "container proxy of pod pod-0 has no cpu request";
    assert_eq!((invalid.reason, invalid.why.as_str()), (reason::REQUEST_MISSING, said));
}
