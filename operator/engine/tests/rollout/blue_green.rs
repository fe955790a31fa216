//! The rules of a blue-green rollout, one by one.

use crate::world::World;
use jiff::SignedDuration;
use scalableapp_crds::RolloutPhase;
use scalableapp_engine::rollout::act::RolloutAct;
use scalableapp_engine::rollout::blue_green::BlueGreen;

const MINUTE: BlueGreen =
    BlueGreen { preview_replicas: None, hold: SignedDuration::from_secs(60), approval: false };
const APPROVED: BlueGreen = BlueGreen { preview_replicas: Some(2), approval: true, ..MINUTE };

/// Eight replicas of `r0`, and `r1` declared.
fn edited(declared: BlueGreen) -> World {
    let mut world = World::blue_green(8, declared);
    "r1".clone_into(&mut world.declared);
    world
}

fn replicas(world: &World) -> [i32; 2] {
    ["r0", "r1"].map(|hash| world.replicas_of(hash))
}

/// In the hold, with all requests at `r1`.
fn held() -> World {
    let mut world = edited(MINUTE);
    world.pass(25);
    assert_eq!((world.status().step, world.selected.as_deref()), (3, Some("r1")));
    world
}

#[test]
fn all_requests_go_to_the_first_revision_once_it_has_all_of_its_pods() {
    let mut world = World { blue_green: Some(MINUTE), ..World::empty(4) };
    world.decide();
    assert_eq!((world.plan["r0"], world.status().active.as_str()), (4, ""));
    world.settle();
    assert_eq!((world.phase(), world.selected.as_deref()), (RolloutPhase::Complete, Some("r0")));
}

#[test]
fn a_revision_that_never_served_is_replaced_at_once() {
    let mut world = World { blue_green: Some(APPROVED), ..World::empty(4) };
    world.broken.insert("r0".to_owned());
    world.settle();
    "r1".clone_into(&mut world.declared);
    world.settle();
    assert_eq!((world.phase(), world.selected.as_deref()), (RolloutPhase::Complete, Some("r1")));
    assert_eq!(replicas(&world), [0, 4]);
}

#[test]
fn without_approval_all_requests_switch_as_soon_as_all_pods_are_available() {
    let mut world = edited(MINUTE);
    world.decide();
    world.write();
    assert_eq!((replicas(&world), world.status().step), ([8, 8], 1));
    world.revisions[1].available = 7;
    world.decide();
    world.write();
    assert_eq!(world.selected.as_deref(), Some("r0"), "one pod is missing");
    assert_eq!(world.status().message, "It waits until the pods of the preview are available.");
    world.revisions[1].available = 8;
    world.decide();
    world.write();
    assert_eq!((world.selected.as_deref(), world.status().step), (Some("r1"), 3));
    assert_eq!(replicas(&world), [8, 8], "the stable revision can take all requests back");
}

#[test]
fn with_approval_the_preview_waits_with_its_own_pods_and_grows_before_the_switch() {
    let mut world = edited(APPROVED);
    world.pass(7200);
    assert_eq!((replicas(&world), world.status().step), ([8, 2], 1));
    assert_eq!(world.status().message, "It waits until somebody promotes it.");
    world.restart();
    world.ask(RolloutAct::Promote { full: false });
    world.decide();
    world.write();
    assert_eq!((replicas(&world), world.status().step), ([8, 8], 2));
    assert_eq!(world.selected.as_deref(), Some("r0"), "its new pods are not available");
    world.become_available();
    world.turn();
    assert_eq!((world.selected.as_deref(), world.status().step), (Some("r1"), 3));
}

#[test]
fn a_preview_never_has_more_pods_than_the_desired_replicas() {
    let mut world = World::blue_green(2, BlueGreen { preview_replicas: Some(50), ..APPROVED });
    "r1".clone_into(&mut world.declared);
    world.pass(60);
    assert_eq!(replicas(&world), [2, 2]);
}

#[test]
fn after_the_hold_the_new_revision_is_stable_and_the_earlier_one_leaves() {
    let mut world = held();
    world.pass(30);
    assert_eq!((replicas(&world), world.phase()), ([8, 8], RolloutPhase::Progressing));
    assert!(world.status().message.starts_with("It has all requests. Revision r0 keeps its pods until "));
    world.pass(60);
    assert_eq!((replicas(&world), world.phase()), ([0, 8], RolloutPhase::Complete));
    assert_eq!(
        (world.status().stable.as_str(), world.status().earlier.as_slice()),
        ("r1", &["r0".to_owned()][..])
    );
}

#[test]
fn without_a_hold_pods_stay_until_proxies_have_learnt_of_the_switch() {
    let mut world = edited(BlueGreen { hold: SignedDuration::ZERO, ..MINUTE });
    world.pass(10);
    assert_eq!(world.selected.as_deref(), Some("r1"));
    world.pass(10);
    assert_eq!(replicas(&world), [8, 8]);
    world.pass(10);
    assert_eq!((replicas(&world), world.phase()), ([0, 8], RolloutPhase::Complete));
}

#[test]
fn the_hold_begins_when_the_service_is_seen_to_select_the_new_revision() {
    let mut world = edited(MINUTE);
    world.is_refused = true;
    world.pass(7200);
    assert_eq!((replicas(&world), world.status().step), ([8, 8], 3));
    assert_eq!(world.status().message, "It waits until the Service selects it.");
    world.ask(RolloutAct::Promote { full: false });
    world.pass(7200);
    assert_eq!(world.phase(), RolloutPhase::Complete);
    assert_eq!(replicas(&world), [8, 8], "requests still go to it");
    world.is_refused = false;
    world.pass(20);
    assert_eq!(replicas(&world), [0, 8]);
}

#[test]
fn an_abort_in_the_hold_sends_all_requests_back_at_once_without_a_new_pod() {
    let mut world = held();
    world.ask(RolloutAct::Abort);
    world.turn();
    assert_eq!((world.phase(), world.selected.as_deref()), (RolloutPhase::Aborted, Some("r0")));
    assert_eq!((replicas(&world), world.answering()), ([8, 8], 8), "proxies still send requests to r1");
    world.pass(20);
    assert_eq!((replicas(&world), world.status().message.as_str()), ([8, 0], "jane aborted it: a test."));
    world.restart();
    world.settle();
    assert_eq!((world.phase(), replicas(&world)), (RolloutPhase::Aborted, [8, 0]), "it is remembered");
    world.ask(RolloutAct::Retry);
    world.pass(10);
    assert_eq!((world.phase(), replicas(&world)), (RolloutPhase::Progressing, [8, 8]));
}

#[test]
fn an_abort_of_the_preview_changes_no_request() {
    let mut world = edited(APPROVED);
    world.pass(60);
    world.ask(RolloutAct::Abort);
    world.turn();
    assert_eq!((world.phase(), world.selected.as_deref()), (RolloutPhase::Aborted, Some("r0")));
    assert_eq!(replicas(&world), [8, 0]);
}

#[test]
fn an_edit_back_in_the_hold_is_the_same_switch_back() {
    let mut world = held();
    "r0".clone_into(&mut world.declared);
    world.turn();
    assert_eq!((world.phase(), world.selected.as_deref()), (RolloutPhase::Complete, Some("r0")));
    assert_eq!((replicas(&world), world.answering()), ([8, 8], 8));
    world.pass(20);
    assert_eq!((replicas(&world), world.status().stable.as_str()), ([8, 0], "r0"));
    "r1".clone_into(&mut world.declared);
    world.pass(10);
    assert_eq!(world.phase(), RolloutPhase::Progressing, "it was not aborted");
}

#[test]
fn another_edit_in_the_hold_switches_back_and_begins_anew() {
    let mut world = held();
    "r2".clone_into(&mut world.declared);
    world.turn();
    assert_eq!((world.status().canary.as_str(), world.status().step), ("r2", 1));
    assert_eq!((world.selected.as_deref(), world.answering()), (Some("r0"), 8));
    world.pass(30);
    assert_eq!([replicas(&world)[0], replicas(&world)[1], world.replicas_of("r2")], [8, 0, 8]);
    assert_eq!(world.selected.as_deref(), Some("r2"));
}

#[test]
fn a_revision_that_was_stable_needs_no_preview_and_no_approval_and_is_held_too() {
    let mut world = edited(APPROVED);
    world.pass(10);
    world.ask(RolloutAct::Promote { full: false });
    world.pass(120);
    assert_eq!(world.status().stable, "r1");
    "r0".clone_into(&mut world.declared);
    world.pass(10);
    assert_eq!((world.selected.as_deref(), world.status().step), (Some("r0"), 3));
    assert_eq!(replicas(&world), [8, 8]);
    world.pass(90);
    assert_eq!((world.phase(), replicas(&world)), (RolloutPhase::Complete, [8, 0]));
}

#[test]
fn an_act_ends_the_hold() {
    let mut world = held();
    world.ask(RolloutAct::Promote { full: true });
    world.pass(20);
    assert_eq!((world.phase(), replicas(&world)), (RolloutPhase::Complete, [0, 8]));
    assert_eq!(world.status().message, "");
}

#[test]
fn in_the_hold_both_revisions_follow_the_load() {
    let mut world = held();
    world.replicas = 12;
    world.turn();
    assert_eq!(replicas(&world), [12, 12]);
    world.replicas = 3;
    world.turn();
    assert_eq!(replicas(&world), [3, 3]);
}

#[test]
fn pods_that_never_become_available_take_nothing() {
    let mut world = edited(MINUTE);
    world.broken.insert("r1".to_owned());
    world.pass(7200);
    assert_eq!((replicas(&world), world.status().step, world.answering()), ([8, 8], 1, 8));
}

#[test]
fn requests_go_back_to_half_of_the_pods_at_once_and_not_to_fewer() {
    let aborted_with = |available: i32| {
        let mut world = held();
        world.ask(RolloutAct::Abort);
        world.revisions[0].available = available;
        world.decide();
        world.write();
        world
    };
    assert_eq!(aborted_with(4).selected.as_deref(), Some("r0"));
    let mut world = aborted_with(3);
    assert_eq!((world.phase(), world.selected.as_deref()), (RolloutPhase::Aborted, Some("r1")));
    assert_eq!(
        world.status().message,
        "jane aborted it: a test. Requests still go to revision r1, until pods of revision r0 are available."
    );
    assert_eq!(replicas(&world), [8, 8]);
    world.settle();
    assert_eq!((world.selected.as_deref(), replicas(&world)), (Some("r0"), [8, 0]));
}

#[test]
fn where_the_stable_revision_is_deleted_the_new_one_takes_over() {
    let mut world = edited(APPROVED);
    world.pass(20);
    world.revisions.retain(|one| one.hash != "r0");
    world.settle();
    assert_eq!((world.phase(), world.selected.as_deref()), (RolloutPhase::Complete, Some("r1")));
    assert_eq!(world.replicas_of("r1"), 8);
}

#[test]
fn a_new_process_goes_on_where_the_earlier_one_was() {
    let mut world = held();
    world.restart();
    world.turn();
    assert_eq!((world.status().step, world.selected.as_deref()), (3, Some("r1")));
    world.pass(35);
    assert_eq!(replicas(&world), [8, 8]);
    world.pass(40);
    assert_eq!((world.phase(), replicas(&world)), (RolloutPhase::Complete, [0, 8]));
}

#[test]
fn a_canary_on_its_way_is_no_preview_and_a_switch_is_no_canary() {
    let mut world = World::new(8);
    "r1".clone_into(&mut world.declared);
    world.ask(RolloutAct::Promote { full: false });
    world.pass(20);
    assert_eq!((world.status().step, replicas(&world)), (2, [8, 8]));
    world.blue_green = Some(APPROVED);
    world.settle();
    assert_eq!((world.status().step, world.selected.as_deref(), replicas(&world)), (1, Some("r0"), [8, 2]));
    let mut world = held();
    world.blue_green = None;
    world.turn();
    assert_eq!((world.status().step, world.selected.as_deref(), world.status().weight), (1, None, 20));
}

#[test]
fn a_rolling_update_on_its_way_is_finished_before_requests_are_narrowed() {
    let mut world = World::blue_green(8, MINUTE);
    (world.selected, world.memory) = (None, scalableapp_engine::memory::AppMemory::default());
    "r1".clone_into(&mut world.declared);
    world.revisions = [("r0", 5), ("r1", 4)]
        .map(|(hash, replicas)| scalableapp_engine::rollout::rolling::Revision {
            hash: hash.to_owned(),
            replicas,
            available: replicas,
            is_target: false,
        })
        .to_vec();
    for _ in 0..60 {
        world.turn();
        assert!(world.answering() >= 8, "{:?} {:?}", world.selected, world.revisions);
    }
    assert_eq!(world.status().active, "r1");
}
