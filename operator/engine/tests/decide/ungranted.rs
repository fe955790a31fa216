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
