//! What holds through any order of edits, faults, acts and restarts. The numbers are those of the invariants in
//! `docs/canary.md`.

use crate::world::World;
use jiff::SignedDuration;
use proptest::prelude::*;
use scalableapp_crds::RolloutPhase;
use scalableapp_engine::rollout::act::RolloutAct;
use scalableapp_engine::rollout::judge::verdict::CanaryVerdict;
use scalableapp_engine::rollout::rolling::Revision;

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
    /// What the judge says; nothing while Prometheus is gone.
    Judged(Option<CanaryVerdict>),
    Asked(RolloutAct),
    /// A new operator.
    Restart,
    /// The cache does not show available pods yet.
    Lag,
    /// Turns.
    Pass(u8),
}

fn happens() -> impl Strategy<Value = Happens> {
    let verdict = prop_oneof![
        Just(None),
        Just(Some(CanaryVerdict::Promote)),
        Just(Some(CanaryVerdict::Hold)),
        Just(Some(CanaryVerdict::Abort)),
    ];
    let act = prop_oneof![
        Just(RolloutAct::Promote { full: false }),
        Just(RolloutAct::Promote { full: true }),
        Just(RolloutAct::Abort),
        Just(RolloutAct::Retry),
    ];
    prop_oneof![
        3 => (0..4_usize).prop_map(Happens::Edit),
        2 => (1..12_i32).prop_map(Happens::Scale),
        1 => (0..4_usize).prop_map(Happens::Kill),
        1 => (0..4_usize).prop_map(Happens::Break),
        4 => verdict.prop_map(Happens::Judged),
        1 => act.prop_map(Happens::Asked),
        1 => Just(Happens::Restart),
        1 => Just(Happens::Lag),
        6 => (1..20_u8).prop_map(Happens::Pass),
    ]
}

fn hash(index: usize) -> String {
    format!("r{index}")
}

/// Available pods that the replicas keep.
fn serving<'a>(revisions: impl Iterator<Item = &'a Revision>) -> i32 {
    revisions.map(|one| one.available.min(one.replicas)).sum()
}

/// Decides, and checks what holds of each decision.
fn turn(world: &mut World, lags: bool) -> Result<(), TestCaseError> {
    let before = world.clone();
    let mut again = world.clone();
    world.now += SignedDuration::from_secs(5);
    world.decide();
    again.now = world.now;
    again.restart();
    again.decide();
    let is_known = before.status.is_some();
    prop_assert!(!is_known || again.status == world.status, "a restart changes nothing: {:?}", again.status);
    check(&before, world)?;
    world.write();
    let (before, after) = (serving(before.revisions.iter()), serving(world.revisions.iter()));
    let least = if world.phase() == RolloutPhase::Complete { world.replicas } else { 1 };
    prop_assert!(after >= before.min(least), "pods that serve are taken: {:?}", world.plan);
    if !lags {
        world.become_available();
    }
    Ok(())
}

fn check(before: &World, world: &World) -> Result<(), TestCaseError> {
    let (status, known) = (world.status(), before.status.as_ref());
    let planned = |hash: &str| world.plan.get(hash).copied().unwrap_or_default();
    if status.phase != RolloutPhase::Complete {
        let others = before.revisions.iter().filter(|one| one.hash != world.declared);
        let kept: i32 =
            others.clone().map(|one| one.available.min(one.replicas).min(planned(&one.hash))).sum();
        prop_assert!(kept >= serving(others).min(world.replicas), "I3, without the canary: {:?}", world.plan);
        let of_others: i32 =
            world.plan.iter().filter(|(hash, _)| **hash != world.declared).map(|(_, n)| n).sum();
        prop_assert!(of_others >= world.replicas, "I2, I4: scaling goes on: {:?}", world.plan);
    }
    if status.phase == RolloutPhase::Aborted {
        let others_serve = serving(before.revisions.iter().filter(|one| one.hash != world.declared)) > 0;
        prop_assert!(!others_serve || planned(&world.declared) == 0, "I7: {:?}", world.plan);
        prop_assert!(status.rejected.iter().any(|one| one.hash == world.declared), "I7");
    }
    let Some(known) = known else { return Ok(()) };
    let is_same_trial = known.phase == RolloutPhase::Progressing && known.canary == world.declared;
    let asked = |is: fn(RolloutAct) -> bool| {
        world.acts.iter().any(|one| is(one.act) && known.acts.iter().all(|taken| taken.uid != one.uid))
    };
    let promotes = asked(|act| matches!(act, RolloutAct::Promote { .. }));
    let was_there = before.revisions.iter().any(|one| one.hash == known.stable);
    if is_same_trial && was_there && (status.step > known.step || status.stable != known.stable) {
        let proven = world.verdict == Some(CanaryVerdict::Promote);
        let was_stable = known.earlier.contains(&world.declared);
        prop_assert!(proven || promotes || was_stable, "I1, I5: nothing passes without evidence");
    }
    if is_same_trial && status.phase == RolloutPhase::Aborted {
        let proven = world.verdict == Some(CanaryVerdict::Abort);
        prop_assert!(
            proven || asked(|act| act == RolloutAct::Abort),
            "I5: nothing is aborted without evidence"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_takes_what_the_stable_revision_needs(
        replicas in 1..12_i32,
        events in proptest::collection::vec(happens(), 1..40),
    ) {
        let mut world = World::empty(replicas);
        let mut lags = false;
        for event in events {
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
                Happens::Judged(verdict) => world.verdict = verdict,
                Happens::Asked(act) => world.ask(act),
                Happens::Restart => world.restart(),
                Happens::Lag => lags = !lags,
                Happens::Pass(turns) => {
                    for _ in 0..turns {
                        turn(&mut world, lags)?;
                    }
                }
            }
        }
    }

    #[test]
    fn a_canary_that_is_good_enough_takes_over_in_the_end(
        replicas in 4..12_i32,
        events in proptest::collection::vec(happens(), 1..40),
    ) {
        let mut world = World::new(replicas);
        for event in events {
            match event {
                Happens::Edit(index) => world.declared = hash(index),
                Happens::Scale(replicas) => world.replicas = replicas,
                Happens::Judged(verdict) => world.verdict = verdict,
                Happens::Restart => world.restart(),
                Happens::Pass(turns) => (0..turns).for_each(|_| world.turn()),
                Happens::Kill(_) | Happens::Break(_) | Happens::Asked(_) | Happens::Lag => {}
            }
        }
        (world.replicas, world.verdict) = (world.replicas.max(4), Some(CanaryVerdict::Promote));
        world.declared = "r9".to_owned();
        (0..120).for_each(|_| world.turn());
        prop_assert_eq!(world.phase(), RolloutPhase::Complete);
        prop_assert_eq!(world.replicas_of("r9"), world.replicas);
        prop_assert_eq!(world.revisions.len(), 1);
    }
}
