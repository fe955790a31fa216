//! What people ask of a canary.

use crate::world::World;
use scalableapp_crds::{RolloutPhase, TakenAct};
use scalableapp_engine::rollout::act::RolloutAct;
use scalableapp_engine::rollout::judge::verdict::CanaryVerdict;

const PROMOTE: RolloutAct = RolloutAct::Promote { full: false };
const ALL_STEPS: RolloutAct = RolloutAct::Promote { full: true };

/// A service whose canary `r1` is at its first step, without evidence.
fn in_progress() -> World {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.settle();
    assert_eq!((world.phase(), world.status().step), (RolloutPhase::Progressing, 1));
    world
}

/// Whether the last act changed the rollout, and what became of it.
fn answer(world: &World) -> (bool, &str) {
    let TakenAct { acted, message, .. } = world.status().acts.last().expect("an act");
    (*acted, message)
}

#[test]
fn a_promotion_without_evidence_begins_the_next_step_and_counts_once() {
    let mut world = in_progress();
    world.ask(PROMOTE);
    world.settle();
    assert_eq!((world.phase(), world.status().step), (RolloutPhase::Progressing, 2), "once");
    assert_eq!(answer(&world), (true, "jane promoted revision r1 from step 1 of 2 to step 2"));
    world.restart();
    world.settle();
    assert_eq!(world.status().step, 2, "and not again after a restart");
    world.ask(PROMOTE);
    world.decide();
    assert_eq!(answer(&world), (true, "jane promoted revision r1 from step 2 of 2 to the stable one"));
    assert_eq!((world.phase(), world.status().stable.as_str()), (RolloutPhase::Complete, "r1"));
    assert_eq!(world.status().message, "jane promoted revision r1: a test.");
}

#[test]
fn a_full_promotion_makes_the_canary_the_stable_revision_from_any_step() {
    let mut world = in_progress();
    world.ask(ALL_STEPS);
    world.settle();
    assert_eq!((world.phase(), world.status().stable.as_str()), (RolloutPhase::Complete, "r1"));
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (0, 8));
}

#[test]
fn an_abort_gives_all_requests_back_and_says_who_and_why() {
    let mut world = in_progress();
    world.verdict = Some(CanaryVerdict::Promote);
    world.ask(RolloutAct::Abort);
    world.settle();
    assert_eq!(
        (world.phase(), world.replicas_of("r0"), world.replicas_of("r1")),
        (RolloutPhase::Aborted, 8, 0)
    );
    assert_eq!(world.status().message, "jane aborted it: a test.");
    assert_eq!(answer(&world), (true, "jane aborted revision r1 at step 1 of 2"));
    assert_eq!(world.status().rejected[0].hash, "r1");
}

#[test]
fn an_aborted_revision_is_not_promoted_and_a_retry_begins_it_anew() {
    let mut world = in_progress();
    world.ask(RolloutAct::Abort);
    world.settle();
    world.ask(PROMOTE);
    world.settle();
    assert_eq!(answer(&world), (false, "revision r1 was aborted before: retry it first"));
    assert_eq!(world.phase(), RolloutPhase::Aborted);
    world.ask(RolloutAct::Retry);
    world.settle();
    assert_eq!(answer(&world), (true, "jane had revision r1 tried again"));
    assert_eq!((world.phase(), world.status().step), (RolloutPhase::Progressing, 1));
    assert!(world.status().rejected.is_empty());
}

#[test]
fn an_act_that_finds_nothing_counts_all_the_same_and_never_acts_on_a_later_canary() {
    let mut world = World::new(8);
    world.ask(ALL_STEPS);
    world.settle();
    assert_eq!(answer(&world), (false, "no rollout was in progress"));
    world.ask(RolloutAct::Retry);
    world.settle();
    assert_eq!(
        answer(&world),
        (false, "the declared revision was not aborted, so there is nothing to retry")
    );
    "r1".clone_into(&mut world.declared);
    world.settle();
    assert_eq!((world.phase(), world.status().step), (RolloutPhase::Progressing, 1));
}

#[test]
fn acts_are_taken_in_their_order_and_one_at_a_time() {
    let mut world = in_progress();
    world.ask(PROMOTE);
    world.ask(RolloutAct::Abort);
    world.decide();
    assert_eq!((world.phase(), world.status().step), (RolloutPhase::Progressing, 2));
    world.decide();
    assert_eq!(world.phase(), RolloutPhase::Aborted);
}

#[test]
fn an_act_is_forgotten_once_it_is_no_longer_in_force_and_a_full_list_takes_no_more() {
    let mut world = in_progress();
    for _ in 0..9 {
        world.ask(RolloutAct::Retry);
        world.turn();
    }
    world.ask(RolloutAct::Abort);
    world.settle();
    assert_eq!((world.phase(), world.status().acts.len()), (RolloutPhase::Progressing, 8));
    world.acts.drain(..9);
    world.turn();
    assert_eq!((world.phase(), world.status().acts.len()), (RolloutPhase::Aborted, 1));
}

#[test]
fn a_held_canary_stays_at_its_step_while_its_replicas_follow_the_load() {
    let mut world = in_progress();
    (world.verdict, world.hold) =
        (Some(CanaryVerdict::Promote), Some("Override o by jane holds it".to_owned()));
    world.pass(3600);
    assert_eq!((world.phase(), world.status().step), (RolloutPhase::Progressing, 1));
    assert!(
        world.status().message.starts_with("Override o by jane holds it. "),
        "{}",
        world.status().message
    );
    world.replicas = 12;
    world.settle();
    assert_eq!((world.replicas_of("r0"), world.replicas_of("r1")), (12, 3));
    world.hold = None;
    world.turn();
    assert_eq!(world.status().step, 2);
}

#[test]
fn a_held_canary_is_aborted_if_it_is_worse_and_promoted_if_somebody_asks_for_it() {
    let mut world = in_progress();
    world.hold = Some("Override o by jane holds it".to_owned());
    world.ask(PROMOTE);
    world.settle();
    assert_eq!(world.status().step, 2);
    world.verdict = Some(CanaryVerdict::Abort);
    world.settle();
    assert_eq!(world.phase(), RolloutPhase::Aborted);
}
