//! A component whose pods the cluster does not grant.

use crate::effect;
use crate::fixture::{Component, rate};
use proptest::prelude::*;
use scalableapp_engine::reason::{self, IMAGE_PULL_FAILED, PODS_REFUSED, UNSCHEDULABLE};
use scalableapp_engine::rollout::rolling::Revision;
use scalableapp_engine::{decide, record::RecordedInput};

/// Six replicas are desired, some are granted, and the load needs twenty.
fn refused(granted: i32) -> Component {
    let mut app = Component::new(6, &[rate(50)]);
    app.reads("rps", 1000.0);
    (app.available, app.existing, app.ungranted) = (Some(granted), Some(granted), Some(PODS_REFUSED));
    app
}

#[test]
fn replicas_that_are_not_granted_do_not_rise_and_say_why() {
    for why in [PODS_REFUSED, UNSCHEDULABLE, IMAGE_PULL_FAILED] {
        let mut app = refused(4);
        app.ungranted = Some(why);
        let decision = app.decide();
        assert_eq!((decision.desired, decision.reason, &decision.limited_by[..]), (6, why, &[why][..]));
        assert_eq!(effect(&decision, "bounds"), "20 is above what is granted 6");
        let sentence = decision.sentence(why);
        assert!(sentence.ends_with(" At most 6 replicas by what is granted."), "{sentence}");
    }
}

/// Seconds after the first refusal at which more replicas are asked for, within an hour, and how many.
fn tries(mut app: Component) -> Vec<(i64, i32)> {
    let (begun, mut tries) = (app.now, Vec::new());
    for _ in 0..720 {
        app.reads("rps", 1000.0);
        let before = app.replicas;
        let desired = app.act().desired;
        if desired != before {
            tries.push((app.now.duration_since(begun).as_secs(), desired));
        }
        app.later(5);
    }
    tries
}

#[test]
fn refused_pods_are_tried_again_by_one_more_replica_now_and_then() {
    let tried = tries(refused(4));
    assert_eq!(tried[..4], [(120, 7), (360, 8), (840, 9), (1440, 10)]);
    let mut app = refused(4);
    app.max = 8;
    assert_eq!(tries(app), [(120, 7), (360, 8)], "no more than is wanted");
    for why in [UNSCHEDULABLE, IMAGE_PULL_FAILED] {
        let mut app = refused(4);
        app.ungranted = Some(why);
        assert_eq!(tries(app), [], "more pods would not help");
    }
    let mut app = refused(4);
    app.act();
    let decision = app.later(120).reads("rps", 1000.0).act();
    assert_eq!(effect(&decision, "bounds"), "20 is above one more try of what is refused 7");
    assert_eq!((decision.desired, &decision.limited_by[..]), (7, &[PODS_REFUSED][..]));
}

#[test]
fn what_is_granted_ends_the_tries_and_a_restart_begins_them_again() {
    let mut app = refused(4);
    for _ in 0..80 {
        app.reads("rps", 1000.0).act();
        app.later(5);
    }
    assert_eq!(app.replicas, 8);
    app.ungranted = None;
    app.reads("rps", 300.0).act();
    app.later(31).reads("rps", 300.0).act();
    app.ungranted = Some(PODS_REFUSED);
    assert_eq!(tries(app.clone())[0].0, 120);
    app.restart();
    assert_eq!(tries(app)[0].0, 120);
}

#[test]
fn replicas_rise_again_once_all_are_granted() {
    let mut app = refused(6);
    app.ungranted = None;
    assert_eq!(app.decide().desired, 12);
}

#[test]
fn a_declared_minimum_and_a_scale_in_are_not_held() {
    let mut app = refused(4);
    app.min = 9;
    assert_eq!(app.decide().desired, 9);
    app.min = 1;
    app.behavior.scale_down.stabilization_window_seconds = 0;
    app.reads("rps", 100.0);
    let decision = app.decide();
    assert_eq!((decision.desired, &decision.limited_by[..]), (2, &[][..]));
}

/// The same with an earlier revision, which has these available replicas.
fn beside(earlier: i32) -> RecordedInput {
    let mut input = refused(0).input();
    let observed = input.state.components.values_mut().next().expect("the component");
    let earlier = Revision { hash: "old".into(), replicas: 5, available: earlier, is_target: false };
    observed.revisions.insert(0, earlier);
    observed.revisions[1].replicas = 1;
    input
}

#[test]
fn a_new_revision_whose_image_cannot_be_pulled_does_not_hold_the_one_that_serves() {
    let desired = |available| {
        let decision = decide(&beside(available).as_input());
        decision.components.values().next().expect("a decision").desired
    };
    assert_eq!(desired(5), 12, "the earlier one grows");
    assert_eq!(desired(0), 6, "neither has a pod");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_granted_neither_raises_nor_removes_a_replica(
        replicas in 1..20_i32, granted in 0..20_i32, load in 0.0..2000.0_f64, window in 0..2_i32,
    ) {
        let mut app = Component::new(replicas, &[rate(50)]);
        app.behavior.scale_down.stabilization_window_seconds = 300 * window;
        app.reads("rps", load);
        let free = app.decide();
        (app.available, app.ungranted) = (Some(granted.min(replicas)), Some(PODS_REFUSED));
        let held = app.decide();
        prop_assert_eq!(held.desired, free.desired.min(replicas));
        prop_assert!(held.reason != reason::PODS_REFUSED || free.desired > replicas);
    }
}
