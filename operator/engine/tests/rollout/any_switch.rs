//! What holds of blue-green rollouts through any order of edits, faults, acts and restarts.

use crate::world::World;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use scalableapp_crds::RolloutPhase;
use scalableapp_engine::rollout::act::RolloutAct;
use scalableapp_engine::rollout::blue_green::BlueGreen;

/// Time in which proxies learn of a switch.
const LEARNT: SignedDuration = SignedDuration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Happens {
    /// This revision is declared.
    Edit(usize),
    /// Other desired replicas.
    Scale(i32),
    /// A pod of this revision is gone.
    Kill(usize),
    /// Pods of this revision do not become available, or do again.
    Break(usize),
    Asked(RolloutAct),
    /// Somebody holds rollouts, or does not any more.
    Hold,
    /// A new operator.
    Restart,
    /// The cache does not show available pods yet, or does again.
    Lag,
    /// The Service cannot be written, or can again.
    Refuse,
    /// Canaries are declared, or blue-green rollouts again.
    Strategy,
    /// Turns.
    Pass(u8),
}

fn happens() -> impl Strategy<Value = Happens> {
    let act = prop_oneof![
        2 => Just(RolloutAct::Promote { full: false }),
        2 => Just(RolloutAct::Abort),
        1 => Just(RolloutAct::Retry),
    ];
    prop_oneof![
        3 => (0..4_usize).prop_map(Happens::Edit),
        2 => (1..12_i32).prop_map(Happens::Scale),
        1 => (0..4_usize).prop_map(Happens::Kill),
        1 => (0..4_usize).prop_map(Happens::Break),
        2 => act.prop_map(Happens::Asked),
        1 => Just(Happens::Hold),
        1 => Just(Happens::Restart),
        1 => Just(Happens::Lag),
        1 => Just(Happens::Refuse),
        1 => Just(Happens::Strategy),
        6 => (1..20_u8).prop_map(Happens::Pass),
    ]
}

fn declared() -> impl Strategy<Value = BlueGreen> {
    let hold = prop_oneof![Just(0), Just(30), Just(300)];
    (prop::option::of(1..6_i32), hold, any::<bool>()).prop_map(|(preview_replicas, hold, approval)| {
        BlueGreen { preview_replicas, hold: SignedDuration::from_secs(hold), approval }
    })
}

fn hash(index: usize) -> String {
    format!("r{index}")
}

fn serving(world: &World, hash: &str) -> i32 {
    world.revisions.iter().find(|one| one.hash == hash).map_or(0, |one| one.available.min(one.replicas))
}

/// A world, and when its Service changed last.
struct Switches {
    world: World,
    left: Option<(String, Timestamp)>,
    lags: bool,
}

impl Switches {
    /// Decides, and checks what holds of each decision.
    fn turn(&mut self) -> Result<(), TestCaseError> {
        let before = self.world.clone();
        let mut again = before.clone();
        let world = &mut self.world;
        world.now += SignedDuration::from_secs(5);
        world.decide();
        again.now = world.now;
        again.restart();
        again.decide();
        if world.blue_green.is_some() && before.status.is_some() {
            prop_assert!(again.status == world.status, "a restart changes nothing: {:?}", again.status);
        }
        if world.blue_green.is_some() {
            check(&before, world)?;
        }
        self.check_pods(&before)?;
        let world = &mut self.world;
        world.write();
        if before.selected != world.selected {
            self.left = before.selected.clone().map(|left| (left, world.now));
        }
        let world = &mut self.world;
        let (was, is) = (before.answering(), world.answering());
        let goes_back = world.selected.is_some() && world.selected.as_ref() != Some(&world.declared);
        let returns = world.selected.as_ref() == Some(&world.status().stable);
        let least = if goes_back || returns { (world.replicas + 1) / 2 } else { world.replicas };
        let least = if before.selected == world.selected { world.replicas } else { least };
        // Without a switch an abort takes the pods of the new revision, as that of a canary does.
        let is_taken = world.phase() == RolloutPhase::Aborted && world.selected.is_none();
        let least = if is_taken { 1 } else { least };
        if world.blue_green.is_some() || world.selected.is_some() {
            prop_assert!(is >= was.min(least), "{was} pods answered, and now {is}: {:?}", world.status);
        }
        if !self.lags {
            world.become_available();
        }
        Ok(())
    }

    /// Pods that requests may still come to stay, as far as the load needs them.
    fn check_pods(&self, before: &World) -> Result<(), TestCaseError> {
        let world = &self.world;
        let is_left = world.blue_green.is_some() && before.selected.is_some();
        for (left, since) in self.left.iter().filter(|_| is_left) {
            let one = before.revisions.iter().find(|one| one.hash == *left);
            if let Some(one) = one.filter(|_| world.now.duration_since(*since) < LEARNT) {
                let planned = world.plan.get(left).copied().unwrap_or_default();
                prop_assert!(planned >= one.replicas.min(world.replicas), "{left}: {:?}", world.plan);
            }
        }
        let selected = before.revisions.iter().find(|one| Some(&one.hash) == before.selected.as_ref());
        if let Some(one) = selected {
            let planned = world.plan.get(&one.hash).copied().unwrap_or_default();
            prop_assert!(planned >= one.replicas.min(world.replicas), "it is selected: {:?}", world.plan);
        }
        Ok(())
    }
}

fn check(before: &World, world: &World) -> Result<(), TestCaseError> {
    let status = world.status();
    let planned = |hash: &str| world.plan.get(hash).copied().unwrap_or_default();
    if !status.active.is_empty() {
        prop_assert!(planned(&status.active) >= world.replicas, "scaling goes on: {:?}", world.plan);
        let keeps_stable = before.revisions.iter().any(|one| one.hash == status.stable);
        prop_assert!(!keeps_stable || planned(&status.stable) >= world.replicas, "{:?}", world.plan);
    }
    if status.phase == RolloutPhase::Aborted {
        prop_assert!(status.rejected.iter().any(|one| one.hash == world.declared), "it is remembered");
    }
    let Some(known) = &before.status else { return Ok(()) };
    let is_new =
        |act: &&scalableapp_engine::rollout::act::Act| known.acts.iter().all(|taken| taken.uid != act.uid);
    let promotes = world.acts.iter().filter(is_new).any(|one| matches!(one.act, RolloutAct::Promote { .. }));
    if world.is_switched() && status.active != known.active && !known.active.is_empty() {
        prop_assert!(serving(before, &status.active) >= world.replicas, "all pods are available: {status:?}");
    }
    let was_there = before.revisions.iter().any(|one| one.hash == known.stable);
    let is_same = known.phase == RolloutPhase::Progressing && known.canary == world.declared;
    if is_same && was_there && !known.active.is_empty() && status.stable != known.stable {
        prop_assert!(known.step == 3, "no revision is stable before the hold: {known:?}");
    }
    if is_same && was_there && known.step == 1 && status.step > 1 {
        let approval = world.blue_green.is_some_and(|declared| declared.approval);
        prop_assert!(promotes || !approval, "without an approval it stays a preview");
        prop_assert!(promotes || world.hold.is_none(), "a held one stays where it is");
    }
    Ok(())
}

fn run(world: World, events: Vec<Happens>, declared: BlueGreen) -> Result<Switches, TestCaseError> {
    let mut switches = Switches { world, left: None, lags: false };
    for event in events {
        let world = &mut switches.world;
        match event {
            Happens::Edit(index) => world.declared = hash(index),
            Happens::Scale(replicas) => world.replicas = replicas,
            Happens::Kill(index) => {
                let one = world.revisions.iter_mut().find(|one| one.hash == hash(index));
                one.into_iter().for_each(|one| one.available = (one.available - 1).max(0));
            }
            Happens::Break(index) => {
                if !world.broken.remove(&hash(index)) {
                    world.broken.insert(hash(index));
                }
            }
            Happens::Asked(act) => world.ask(act),
            Happens::Hold => world.hold = world.hold.is_none().then(|| "Jane holds it".to_owned()),
            Happens::Restart => world.restart(),
            Happens::Lag => switches.lags = !switches.lags,
            Happens::Refuse => world.is_refused = !world.is_refused,
            Happens::Strategy => {
                world.blue_green = world.blue_green.is_none().then_some(declared);
            }
            Happens::Pass(turns) => {
                for _ in 0..turns {
                    switches.turn()?;
                }
            }
        }
    }
    Ok(switches)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_takes_pods_that_requests_come_to(
        replicas in 1..12_i32,
        declared in declared(),
        events in proptest::collection::vec(happens(), 1..40),
    ) {
        run(World { blue_green: Some(declared), ..World::empty(replicas) }, events, declared)?;
    }

    #[test]
    fn a_revision_whose_pods_become_available_takes_over_in_the_end(
        replicas in 1..12_i32,
        declared in declared(),
        events in proptest::collection::vec(happens(), 1..40),
    ) {
        let declared = BlueGreen { approval: false, ..declared };
        let mut switches = run(World::blue_green(replicas, declared), events, declared)?;
        let world = &mut switches.world;
        (world.blue_green, world.hold, world.is_refused) = (Some(declared), None, false);
        world.broken.clear();
        world.acts.clear();
        world.turn();
        "r9".clone_into(&mut world.declared);
        (0..120).for_each(|_| world.turn());
        prop_assert_eq!(world.phase(), RolloutPhase::Complete);
        prop_assert_eq!((world.replicas_of("r9"), world.selected.as_deref()), (world.replicas, Some("r9")));
        prop_assert_eq!(world.revisions.len(), 1);
    }
}
