//! When latency proposes more replicas, and when it does not.

use crate::fixture::{Component, latency, rate};
use crate::{effect, value};
use scalableapp_engine::reason;

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
    assert_eq!(effect(&decision, "recommendation"), "6 recommended by p99");
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
    assert_eq!(value(&decision, "p99"), "absent: no sample; scale-in is not blocked");
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
    assert_eq!(effect(&decision, "recommendation"), "1 recommended; latency keeps 4");
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
    let (decision, memory) = app.decide_and_remember();
    assert_eq!(decision.desired, 8);
    assert_eq!(memory.persist(app.now, &app.behavior).latency_step, app.status.latency_step);
}
