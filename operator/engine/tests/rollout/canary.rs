//! The rules of a canary, one by one.

use crate::world::World;
use scalableapp_crds::RolloutPhase;
use scalableapp_engine::rollout::act::RolloutAct;
use scalableapp_engine::rollout::judge::verdict::CanaryVerdict;

#[test]
fn the_first_revision_is_stable_once_a_pod_of_it_is_available() {
    let mut world = World::empty(4);
    world.decide();
    assert_eq!((world.plan["r0"], world.status().stable.as_str()), (4, ""));
    world.settle();
    assert_eq!((world.phase(), world.status().stable.as_str()), (RolloutPhase::Complete, "r0"));
}

#[test]
fn a_revision_that_never_served_is_replaced_without_a_canary() {
    let mut world = World::empty(4);
    world.broken.insert("r0".to_owned());
    world.settle();
    "r1".clone_into(&mut world.declared);
    world.settle();
    assert_eq!((world.phase(), world.status().stable.as_str()), (RolloutPhase::Complete, "r1"));
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (0, 4));
}

#[test]
fn the_stable_revision_keeps_its_replicas_and_the_canary_is_in_addition() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.settle();
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (8, 2), "20 % of ten pods");
    assert_eq!((world.status().step, world.status().steps, world.status().weight), (1, 2, 20));
    world.replicas = 12;
    world.settle();
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (12, 3), "scaling goes on");
}

#[test]
fn without_evidence_a_step_lasts() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.pass(7200);
    assert_eq!((world.phase(), world.status().step), (RolloutPhase::Progressing, 1));
    world.verdict = Some(CanaryVerdict::Hold);
    world.pass(7200);
    assert_eq!(world.status().step, 1);
    assert_eq!(world.status().message, "It waits for more evidence on errors.");
}

#[test]
fn a_good_canary_passes_each_step_after_its_hold_and_takes_over() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.verdict = Some(CanaryVerdict::Promote);
    world.pass(60);
    assert_eq!(
        world.status().step,
        1,
        "it holds for a minute from the moment at which its pods are available"
    );
    world.pass(10);
    assert_eq!((world.status().step, world.status().weight), (2, 50));
    world.pass(10);
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (8, 8));
    world.settle();
    assert_eq!((world.phase(), world.status().stable.as_str()), (RolloutPhase::Complete, "r1"));
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (0, 8));
}

#[test]
fn a_bad_canary_loses_its_pods_at_once_and_is_not_tried_again_until_asked() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.pass(20);
    world.verdict = Some(CanaryVerdict::Abort);
    world.turn();
    assert_eq!((world.phase(), world.status().message.as_str()), (RolloutPhase::Aborted, "It is worse."));
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (8, 0));
    world.verdict = Some(CanaryVerdict::Promote);
    world.settle();
    "r0".clone_into(&mut world.declared);
    world.settle();
    assert_eq!(world.phase(), RolloutPhase::Complete);
    "r1".clone_into(&mut world.declared);
    world.restart();
    world.settle();
    assert_eq!((world.phase(), world.replicas_of("r1")), (RolloutPhase::Aborted, 0), "it is remembered");
    world.ask(RolloutAct::Retry);
    world.pass(20);
    assert_eq!((world.phase(), world.replicas_of("r1")), (RolloutPhase::Progressing, 2));
}

#[test]
fn an_edit_begins_anew_and_an_edit_back_ends_the_canary() {
    let mut world = World::new(8);
    world.verdict = Some(CanaryVerdict::Promote);
    "r1".clone_into(&mut world.declared);
    world.pass(90);
    assert_eq!(world.status().step, 2);
    "r2".clone_into(&mut world.declared);
    world.pass(20);
    let status = world.status();
    assert_eq!((status.stable.as_str(), status.canary.as_str(), status.step), ("r0", "r2", 1));
    assert_eq!([world.replicas_of("r0"), world.replicas_of("r1"), world.replicas_of("r2")], [8, 0, 2]);
    "r0".clone_into(&mut world.declared);
    world.settle();
    assert_eq!(
        (world.phase(), world.replicas_of("r0"), world.replicas_of("r2")),
        (RolloutPhase::Complete, 8, 0)
    );
}

#[test]
fn a_canary_whose_pods_never_become_available_takes_nothing() {
    let mut world = World::new(8);
    world.verdict = Some(CanaryVerdict::Promote);
    "r1".clone_into(&mut world.declared);
    world.broken.insert("r1".to_owned());
    world.pass(7200);
    assert_eq!((world.phase(), world.status().step), (RolloutPhase::Progressing, 1));
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (8, 2));
    assert_eq!(world.status().message, "It waits until the pods of the step are available.");
}

#[test]
fn a_bad_canary_is_aborted_before_all_pods_of_its_step_are_available() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.broken.insert("r1".to_owned());
    world.verdict = Some(CanaryVerdict::Abort);
    world.pass(20);
    assert_eq!((world.phase(), world.replicas_of("r1")), (RolloutPhase::Aborted, 0));
}

#[test]
fn a_weight_that_the_replicas_cannot_realise_is_refused_in_words() {
    let mut world = World::new(1);
    "r1".clone_into(&mut world.declared);
    world.settle();
    assert_eq!(world.replicas_of("r1"), 0);
    assert_eq!(
        world.status().message,
        "It waits: with 1 replicas a pod of the canary has 50% of the requests, and the weight is 20%. Raise the weight or \
         minReplicas, or add a route."
    );
    world.replicas = 4;
    world.settle();
    assert_eq!(world.replicas_of("r1"), 1);
}

#[test]
fn people_promote_and_abort_once_with_each_act() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.pass(20);
    world.ask(RolloutAct::Promote { full: false });
    world.pass(600);
    assert_eq!((world.phase(), world.status().step), (RolloutPhase::Progressing, 2), "one act is one step");
    world.restart();
    world.pass(600);
    assert_eq!(world.status().step, 2, "nor after a restart");
    world.ask(RolloutAct::Abort);
    world.turn();
    assert_eq!((world.phase(), world.replicas_of("r1")), (RolloutPhase::Aborted, 0));
    assert_eq!(world.status().message, "jane aborted it: a test.");
    "r2".clone_into(&mut world.declared);
    world.pass(20);
    assert_eq!(world.phase(), RolloutPhase::Progressing, "an earlier act is not taken twice");
    world.ask(RolloutAct::Promote { full: true });
    world.settle();
    assert_eq!((world.status().stable.as_str(), world.replicas_of("r2")), ("r2", 8));
}

#[test]
fn where_the_stable_revision_is_deleted_the_canary_takes_over() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.pass(20);
    world.revisions.retain(|one| one.hash != "r0");
    world.settle();
    assert_eq!((world.phase(), world.replicas_of("r1")), (RolloutPhase::Complete, 8));
}

#[test]
fn an_aborted_canary_stays_while_it_alone_serves() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.pass(20);
    world.broken.insert("r0".to_owned());
    world.become_available();
    world.verdict = Some(CanaryVerdict::Abort);
    world.settle();
    assert_eq!((world.phase(), world.replicas_of("r1")), (RolloutPhase::Aborted, 2));
    world.broken.clear();
    world.settle();
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (8, 0));
}

#[test]
fn a_rollback_to_a_revision_that_was_stable_waits_for_no_evidence() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.ask(RolloutAct::Promote { full: true });
    world.settle();
    assert_eq!(
        (world.status().stable.as_str(), world.status().earlier.as_slice()),
        ("r1", &["r0".to_owned()][..])
    );
    "r0".clone_into(&mut world.declared);
    world.restart();
    world.pass(15);
    assert_eq!((world.phase(), world.status().stable.as_str()), (RolloutPhase::Complete, "r0"));
    world.settle();
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (8, 0));
}

#[test]
fn an_aborted_revision_is_no_rollback() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.pass(20);
    world.ask(RolloutAct::Abort);
    world.settle();
    assert!(world.status().earlier.is_empty());
    assert_eq!(world.phase(), RolloutPhase::Aborted);
}

#[test]
fn a_route_gives_a_canary_its_weight_with_fewer_pods() {
    let mut world = World::new(8);
    world.is_routed = true;
    "r1".clone_into(&mut world.declared);
    world.pass(20);
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (8, 2), "20 % of eight, rounded up");
    world.ask(RolloutAct::Promote { full: false });
    world.pass(20);
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (8, 4), "50 % of eight");
}

#[test]
fn a_sick_pod_is_replaced_and_its_revision_stays() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.pass(20);
    (world.verdict, world.sick_pod) = (Some(CanaryVerdict::Hold), Some("r1-a".to_owned()));
    world.pass(600);
    assert_eq!((world.phase(), world.replaced.as_deref()), (RolloutPhase::Progressing, Some("r1-a")));
}
