//! The rolling plan: how replicas move from old revisions to the target. Pure.
//!
//! One round reads what is available now and returns the replicas of each revision. The next round reads the result.
//! The desired total may change in any round. Every round keeps two promises: the revisions together never get more
//! than the desired total plus the surge, and no available pod is removed while fewer than the desired total less
//! `max_unavailable` are available.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One live revision: one Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Hash that names it.
    pub hash: String,
    /// Its `spec.replicas`.
    pub replicas: i32,
    /// Its `status.availableReplicas`.
    pub available: i32,
    /// Whether it is the one that takes over.
    pub is_target: bool,
}

impl Revision {
    /// Available pods that `spec.replicas` keeps; the others are about to be deleted.
    pub(super) fn serving(&self) -> i32 {
        self.available.min(self.replicas).max(0)
    }
}

/// Pods above or below the desired total while there are several revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// Pods above it; a percentage is rounded up.
    pub max_surge: Amount,
    /// Pods below it; a percentage is rounded down. Where both come to 0 it counts as 1, as for a Deployment.
    pub max_unavailable: Amount,
}

/// A number of pods, or a percentage of the desired total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amount {
    /// A number of pods, at least 0.
    Pods(i32),
    /// A percentage, at least 0.
    Percent(i32),
}

impl Default for Rolling {
    fn default() -> Self {
        Self { max_surge: Amount::Percent(25), max_unavailable: Amount::Pods(0) }
    }
}

impl Rolling {
    /// Surge and unavailable pods for a desired total, with no more pods than `most`. Without room for one more, an old pod
    /// makes room for a new one. The only pod does so only if it may be unavailable: until then both are 0.
    pub(crate) fn within(self, desired: i32, most: i32) -> RollingLimits {
        let RollingLimits { surge, unavailable } = self.resolve(desired);
        let surge = surge.min(most.saturating_sub(desired).max(0));
        let unavailable = if surge == 0 && desired > 1 { unavailable.max(1) } else { unavailable };
        RollingLimits { surge, unavailable }
    }

    /// Pods above a desired total.
    pub(crate) fn surge(self, desired: i32) -> i32 {
        self.resolve(desired).surge
    }

    /// Surge and unavailable pods for a desired total.
    pub(crate) fn resolve(self, desired: i32) -> RollingLimits {
        let part = |amount, round_by| match amount {
            Amount::Pods(pods) => pods.max(0),
            Amount::Percent(percent) => {
                let pods = (i64::from(desired) * i64::from(percent.max(0)) + round_by) / 100;
                i32::try_from(pods).unwrap_or(i32::MAX)
            }
        };
        let unavailable = part(self.max_unavailable, 0).min(desired);
        let surge = part(self.max_surge, 99);
        RollingLimits { surge, unavailable: if surge == 0 { unavailable.max(1) } else { unavailable } }
    }
}

/// Pods above and below the desired total while there are several revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RollingLimits {
    pub(crate) surge: i32,
    pub(crate) unavailable: i32,
}

impl RollingLimits {
    /// Whether no pod may be added and none removed, so that nothing moves.
    pub(crate) fn admit_nothing(self) -> bool {
        self.surge == 0 && self.unavailable == 0
    }
}

/// The replicas that scaling starts from.
///
/// With one live revision these are its `spec.replicas`. With several, their sum includes the surge, which nobody
/// decided and which must not become the new number. So it is limited to the last decision.
pub fn current_replicas(revisions: &[Revision], last_desired: Option<i32>) -> i32 {
    let sum = revisions.iter().fold(0_i32, |sum, revision| sum.saturating_add(revision.replicas));
    let live = revisions.iter().filter(|revision| revision.replicas > 0).count();
    match last_desired {
        Some(desired) if live > 1 => sum.min(desired),
        _ => sum,
    }
}

/// The `spec.replicas` that each revision should have in this round, by hash.
///
/// `desired` is the desired total; `revisions` are ordered, oldest first, and one of them is the target. Without a
/// target all stay as they are. Old revisions lose unavailable pods first.
///
/// A total that grows during the rollout is divided in proportion to the available pods. So a target whose pods do not
/// become available gets no more of them than surge and unavailable allow, and the old revisions grow instead.
pub(crate) fn plan(desired: i32, revisions: &[Revision], limits: RollingLimits) -> BTreeMap<&str, i32> {
    let mut planned: BTreeMap<&str, i32> =
        revisions.iter().map(|revision| (revision.hash.as_str(), revision.replicas)).collect();
    let Some(target) = revisions.iter().find(|revision| revision.is_target) else {
        return planned;
    };
    let old: Vec<&Revision> = revisions.iter().filter(|revision| !revision.is_target).collect();
    let old_replicas: i32 = old.iter().map(|revision| revision.replicas).sum();
    let old_serving: i32 = old.iter().map(|revision| revision.serving()).sum();
    if old_replicas == 0 {
        planned.insert(&target.hash, desired);
        return planned;
    }

    let RollingLimits { surge, unavailable } = limits;
    let limit = desired.saturating_add(surge);
    let target_serving = target.serving().min(desired);
    // What the old revisions must still serve to keep the promise of `max_unavailable`.
    let needed = (desired - unavailable - target_serving).max(0);
    let missing = (desired - old_replicas - target.replicas).max(0);
    let (old_share, target_share) = match (old_serving, target_serving) {
        (0, _) => (0, missing),
        (_, 0) => (needed - old_replicas, 0),
        (old, target) => {
            let share = i64::from(missing) * i64::from(old) / i64::from(old + target);
            let share = i32::try_from(share).unwrap_or(missing);
            (share, missing - share)
        }
    };
    let in_flight = target_serving.saturating_add(surge).saturating_add(unavailable);
    let old_planned = if old_replicas >= needed {
        needed
    } else {
        let room = limit - target.replicas.min(in_flight).min(desired);
        (old_replicas + old_share).min(needed).min(room).max(old_replicas.min(limit))
    };
    let target_planned = in_flight.max(target.replicas.saturating_add(target_share));
    planned.insert(&target.hash, target_planned.min(desired).min(limit - old_planned));
    match old_planned - old_replicas {
        growth if growth > 0 => grow(&mut planned, &old, growth),
        shrinkage => shrink(&mut planned, &old, -shrinkage),
    }
    planned
}

/// Lowers a plan until all revisions together grow by no more than `growth`. The target waits first, because its pods
/// may never serve.
pub(crate) fn limit_growth(planned: &mut BTreeMap<String, i32>, revisions: &[Revision], growth: i32) {
    let of = |planned: &BTreeMap<String, i32>, revision: &Revision| {
        planned.get(&revision.hash).map_or(0, |replicas| (replicas - revision.replicas).max(0))
    };
    let total: i32 = revisions.iter().map(|revision| of(planned, revision)).fold(0, i32::saturating_add);
    let mut excess = (total - growth.max(0)).max(0);
    let (target, old): (Vec<_>, Vec<_>) = revisions.iter().partition(|revision| revision.is_target);
    for revision in target.into_iter().chain(old.into_iter().rev()) {
        let cut = of(planned, revision).min(excess);
        excess -= cut;
        if let Some(replicas) = planned.get_mut(&revision.hash) {
            *replicas -= cut;
        }
    }
}

/// Adds pods to the old revision with the most available ones, the newest of equals.
fn grow<'a>(planned: &mut BTreeMap<&'a str, i32>, old: &[&'a Revision], pods: i32) {
    if let Some(revision) = old.iter().max_by_key(|revision| revision.serving()) {
        planned.insert(&revision.hash, revision.replicas + pods);
    }
}

/// Removes pods from the old revisions, oldest first: unavailable ones, then the others.
fn shrink<'a>(planned: &mut BTreeMap<&'a str, i32>, old: &[&'a Revision], mut pods: i32) {
    let idle = old.iter().map(|revision| (revision, revision.replicas - revision.serving()));
    let serving = old.iter().map(|revision| (revision, revision.serving()));
    for (revision, most) in idle.chain(serving) {
        let taken = most.min(pods);
        pods -= taken;
        if let Some(replicas) = planned.get_mut(revision.hash.as_str()) {
            *replicas -= taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(desired: i32, revisions: &[Revision], rolling: Rolling) -> BTreeMap<&str, i32> {
        super::plan(desired, revisions, rolling.resolve(desired))
    }

    fn old(hash: &str, replicas: i32, available: i32) -> Revision {
        Revision { hash: hash.to_owned(), replicas, available, is_target: false }
    }

    fn target(replicas: i32, available: i32) -> Revision {
        Revision { is_target: true, ..old("new", replicas, available) }
    }

    fn rolling(max_surge: Amount, max_unavailable: Amount) -> Rolling {
        Rolling { max_surge, max_unavailable }
    }

    /// Applies a plan, and makes the target's pods available if they can become so.
    fn next_round(revisions: &mut [Revision], desired: i32, rolling: Rolling, target_works: bool) {
        let planned: BTreeMap<String, i32> =
            plan(desired, revisions, rolling).into_iter().map(|(hash, n)| (hash.to_owned(), n)).collect();
        for revision in revisions {
            revision.replicas = planned[&revision.hash];
            let becomes = if revision.is_target && !target_works { 0 } else { revision.replicas };
            revision.available = becomes;
        }
    }

    #[test]
    fn the_first_revision_gets_all_replicas_at_once() {
        assert_eq!(plan(5, &[target(0, 0)], Rolling::default())["new"], 5);
        assert_eq!(plan(3, &[target(5, 5)], Rolling::default())["new"], 3);
    }

    #[test]
    fn a_round_surges_first_and_takes_old_pods_as_new_ones_serve() {
        let revisions = [old("a", 4, 4), target(0, 0)];
        let planned = plan(4, &revisions, Rolling::default());
        assert_eq!((planned["a"], planned["new"]), (4, 1));
        let revisions = [old("a", 4, 4), target(1, 1)];
        let planned = plan(4, &revisions, Rolling::default());
        assert_eq!((planned["a"], planned["new"]), (3, 2));
    }

    #[test]
    fn a_target_that_never_becomes_ready_stops_at_surge_and_old_pods_serve() {
        let mut revisions = [old("a", 4, 4), target(0, 0)];
        for desired in [4, 4, 4, 10, 10, 10] {
            next_round(&mut revisions, desired, Rolling::default(), false);
        }
        assert_eq!((revisions[0].replicas, revisions[1].replicas), (10, 3));
    }

    #[test]
    fn growth_during_a_rollout_is_shared_by_what_serves() {
        let revisions = [old("a", 1, 1), target(3, 3)];
        let planned = plan(40, &revisions, Rolling::default());
        assert_eq!((planned["a"], planned["new"]), (10, 30));
        let revisions = [old("a", 10, 1), target(30, 3)];
        let planned = plan(40, &revisions, Rolling::default());
        assert_eq!(
            (planned["a"], planned["new"]),
            (10, 30),
            "a total that stays moves nothing before pods serve"
        );
    }

    #[test]
    fn pods_that_do_not_serve_leave_first() {
        let revisions = [old("a", 2, 2), old("b", 2, 0), target(2, 2)];
        let planned = plan(4, &revisions, Rolling::default());
        assert_eq!((planned["a"], planned["b"]), (2, 0));
    }

    #[test]
    fn neither_surge_nor_unavailable_counts_as_one_unavailable() {
        let none = rolling(Amount::Percent(0), Amount::Percent(10));
        let revisions = [old("a", 4, 4), target(0, 0)];
        let planned = plan(4, &revisions, none);
        assert_eq!((planned["a"], planned["new"]), (3, 1));
    }

    #[test]
    fn without_room_for_a_surge_an_old_pod_leaves_first_but_never_the_only_one() {
        let within = |desired, most, rolling: Rolling| {
            let RollingLimits { surge, unavailable } = rolling.within(desired, most);
            (surge, unavailable)
        };
        assert_eq!(within(4, 4, Rolling::default()), (0, 1));
        assert_eq!(within(4, 5, Rolling::default()), (1, 0));
        assert_eq!(within(1, 1, Rolling::default()), (0, 0));
        assert_eq!(within(1, 1, rolling(Amount::Pods(1), Amount::Pods(1))), (0, 1), "the user admits it");
        let nothing = Rolling::default().within(1, 1);
        assert!(nothing.admit_nothing());
        for old_replicas in [1, 3] {
            let revisions = [old("a", old_replicas, old_replicas), target(0, 0)];
            let planned = super::plan(1, &revisions, nothing);
            assert_eq!((planned["a"], planned["new"]), (1, 0), "the total still follows the load");
        }
    }

    #[test]
    fn the_surge_never_becomes_the_wanted_number() {
        let during = [old("a", 4, 4), target(1, 0)];
        assert_eq!(current_replicas(&during, Some(4)), 4);
        assert_eq!(current_replicas(&during, None), 5);
        assert_eq!(current_replicas(&[target(7, 7)], Some(4)), 7, "an edit by hand is seen");
        assert_eq!(current_replicas(&[old("a", 0, 0), target(7, 7)], Some(4)), 7);
    }

    fn amounts() -> impl Strategy<Value = Amount> {
        prop_oneof![(0..6).prop_map(Amount::Pods), (0..100).prop_map(Amount::Percent)]
    }

    fn revisions() -> impl Strategy<Value = Vec<Revision>> {
        let one = (0..12_i32, 0..12_i32);
        (proptest::collection::vec(one.clone(), 0..4), one).prop_map(|(olds, (replicas, available))| {
            let olds = olds.into_iter().enumerate();
            let mut all: Vec<Revision> = olds
                .map(|(index, (replicas, available))| old(&format!("r{index}"), replicas, available))
                .collect();
            all.push(target(replicas, available));
            all
        })
    }

    fn serving_after(revisions: &[Revision], planned: &BTreeMap<&str, i32>) -> i32 {
        revisions.iter().map(|revision| revision.serving().min(planned[revision.hash.as_str()])).sum()
    }

    proptest! {
        #[test]
        fn the_sum_stays_within_the_surge(
            desired in 1..30_i32, revisions in revisions(), surge in amounts(), unavailable in amounts(),
        ) {
            let rolling = rolling(surge, unavailable);
            let planned = plan(desired, &revisions, rolling);
            let surge = rolling.surge(desired);
            prop_assert!(planned.values().sum::<i32>() <= desired + surge, "{planned:?}");
            prop_assert!(planned.values().all(|replicas| *replicas >= 0), "{planned:?}");
        }

        #[test]
        fn no_serving_pod_is_taken_below_the_promise(
            desired in 1..30_i32, revisions in revisions(), surge in amounts(), unavailable in amounts(),
        ) {
            let rolling = rolling(surge, unavailable);
            let planned = plan(desired, &revisions, rolling);
            let unavailable = rolling.resolve(desired).unavailable;
            let before: i32 = revisions.iter().map(Revision::serving).sum();
            let after = serving_after(&revisions, &planned);
            prop_assert!(after >= before.min(desired - unavailable), "{before} to {after}: {planned:?}");
        }

        #[test]
        fn a_working_target_takes_over_in_a_bounded_number_of_rounds(
            desired in proptest::collection::vec(1..30_i32, 1..6), mut revisions in revisions(),
            surge in amounts(), unavailable in amounts(),
        ) {
            let rolling = rolling(surge, unavailable);
            for wanted in &desired {
                next_round(&mut revisions, *wanted, rolling, true);
            }
            let last = desired[desired.len() - 1];
            for _ in 0..=last {
                next_round(&mut revisions, last, rolling, true);
            }
            for revision in &revisions {
                prop_assert_eq!(revision.replicas, if revision.is_target { last } else { 0 });
            }
        }

        #[test]
        fn a_broken_target_never_takes_capacity_from_a_growing_app(
            desired in proptest::collection::vec(6..30_i32, 1..6), old_replicas in 1..12_i32,
            surge in amounts(), unavailable in amounts(),
        ) {
            let rolling = rolling(surge, unavailable);
            let mut revisions = [old("a", old_replicas, old_replicas), target(0, 0)];
            for wanted in desired {
                next_round(&mut revisions, wanted, rolling, false);
                let RollingLimits { surge, unavailable } = rolling.resolve(wanted);
                prop_assert!(revisions[0].replicas >= wanted - unavailable, "{revisions:?}");
                prop_assert!(revisions[1].replicas <= surge + unavailable, "{revisions:?}");
            }
        }
    }
}
