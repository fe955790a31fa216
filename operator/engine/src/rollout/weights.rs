//! How the requests of a component are divided between its revisions, where a route does that. Pure.
//!
//! A revision gets requests only for pods that serve now and that the plan keeps, so weights move before pods leave.

use super::rolling::Revision;
use std::collections::BTreeMap;

/// Weight of each revision, by its hash. Only their proportions count.
pub type Weights = BTreeMap<String, i32>;

/// All requests, in percent.
const ALL: i32 = 100;

/// A revision that gets a small share of the requests until it is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanaryShare<'a> {
    /// Its hash.
    pub revision: &'a str,
    /// Its share in percent, 0 to 100.
    pub weight: i32,
}

/// The weights of revisions whose component has `desired` replicas and this plan of replicas by hash.
///
/// Without a trial they are proportional to the pods that serve and stay. A revision without such a pod gets none while
/// another one has some. A revision on trial gets at most its share, and at most that of the desired replicas which its
/// pods are: more would be more than they can carry. This holds even where no other revision has a pod.
#[must_use]
pub fn weights(
    desired: i32,
    revisions: &[Revision],
    planned: Option<&BTreeMap<String, i32>>,
    trial: Option<CanaryShare<'_>>,
) -> Weights {
    let staying = |one: &Revision| {
        let planned = planned.and_then(|planned| planned.get(&one.hash)).copied();
        one.serving().min(planned.unwrap_or(one.replicas)).max(0)
    };
    let (on_trial, others): (Vec<&Revision>, Vec<&Revision>) =
        revisions.iter().partition(|one| trial.is_some_and(|trial| trial.revision == one.hash));
    let parts = parts(&others, staying);
    let (Some(trial), Some(one)) = (trial.filter(|_| !others.is_empty()), on_trial.first()) else {
        let all: Vec<&Revision> = revisions.iter().collect();
        let weights = self::parts(&all, staying);
        return if all.len() == 1 { weights.into_keys().map(|hash| (hash, ALL)).collect() } else { weights };
    };
    let carried = i64::from(ALL) * i64::from(staying(one)) / i64::from(desired.max(1));
    let carried = i32::try_from(carried).unwrap_or(ALL);
    let weight = trial.weight.min(carried).clamp(0, ALL);
    let mut weights = divided(ALL - weight, &parts);
    weights.insert(one.hash.clone(), weight);
    weights
}

/// The weights that give all requests to one revision; `None` where it does not exist.
#[must_use]
pub fn all_to(revision: &str, revisions: &[Revision]) -> Option<Weights> {
    let weight = |one: &Revision| (one.hash.clone(), if one.hash == revision { ALL } else { 0 });
    revisions.iter().any(|one| one.hash == revision).then(|| revisions.iter().map(weight).collect())
}

/// Parts in proportion to the pods that serve and stay; to those that serve, to the replicas, or all to the declared
/// revision, where there are none.
fn parts(revisions: &[&Revision], staying: impl Fn(&Revision) -> i32) -> Weights {
    let by = |part: &dyn Fn(&Revision) -> i32| -> Option<Weights> {
        let parts: Weights = revisions.iter().map(|one| (one.hash.clone(), part(one).max(0))).collect();
        parts.values().any(|part| *part > 0).then_some(parts)
    };
    by(&staying)
        .or_else(|| by(&Revision::serving))
        .or_else(|| by(&|one| one.replicas))
        .or_else(|| by(&|one| i32::from(one.is_target)))
        .unwrap_or_else(|| revisions.iter().map(|one| (one.hash.clone(), 1)).collect())
}

/// A whole number of percent in proportion to these parts. What rounding leaves goes to the largest parts.
fn divided(percent: i32, parts: &Weights) -> Weights {
    let total: i64 = parts.values().map(|part| i64::from(*part)).sum();
    let share = |part: i32| i64::from(percent) * i64::from(part) / total.max(1);
    let mut weights: Weights =
        parts.iter().map(|(hash, part)| (hash.clone(), i32::try_from(share(*part)).unwrap_or(0))).collect();
    let left = percent - weights.values().sum::<i32>();
    let mut largest: Vec<(&String, i32)> = parts.iter().map(|(hash, part)| (hash, *part)).collect();
    largest.sort_by_key(|(_, part)| -part);
    let places = usize::try_from(left).unwrap_or(0);
    for (hash, _) in largest.into_iter().cycle().take(if parts.is_empty() { 0 } else { places }) {
        *weights.entry(hash.clone()).or_default() += 1;
    }
    weights
}

/// Keeps replicas that still get requests: a revision whose weight falls does not shrink below the share of the desired
/// replicas that its `taken` weight stands for, until the gateway has taken the new one. The declared revision, and then
/// others, grow by as much less, so that there are never more pods than planned. Returns whether any replica was kept.
///
/// `taken` has the weights that the gateway follows; `None` where that is not known, so that each revision may get all
/// requests. `moved` has those that it is given now.
pub fn keep(
    planned: &mut BTreeMap<String, i32>,
    desired: i32,
    revisions: &[Revision],
    taken: Option<&Weights>,
    moved: &Weights,
) -> bool {
    let mut kept = 0_i32;
    for one in revisions {
        let Some(replicas) = planned.get_mut(&one.hash) else { continue };
        let before = taken.map_or((1, 1), |taken| share(taken, &one.hash));
        let after = share(moved, &one.hash);
        if *replicas >= one.replicas || !is_less(after, before) {
            continue;
        }
        let needed = one.replicas.min(part_of(desired, before));
        kept = kept.saturating_add((needed - *replicas).max(0));
        *replicas = needed.max(*replicas);
    }
    let mut excess = kept;
    let (target, others): (Vec<_>, Vec<_>) = revisions.iter().partition(|one| one.is_target);
    for one in target.into_iter().chain(others) {
        let Some(replicas) = planned.get_mut(&one.hash) else { continue };
        let cut = (*replicas - one.replicas).clamp(0, excess);
        excess -= cut;
        *replicas -= cut;
    }
    kept > 0
}

/// The weight of a revision, and the sum of all.
fn share(weights: &Weights, hash: &str) -> (i64, i64) {
    let own = weights.get(hash).copied().unwrap_or_default();
    let all: i64 = weights.values().map(|weight| i64::from(*weight)).sum();
    (i64::from(own), all.max(1))
}

fn is_less((one, of): (i64, i64), (other, of_other): (i64, i64)) -> bool {
    one * of_other < other * of
}

/// The replicas that a share of the requests needs, rounded up.
fn part_of(desired: i32, (own, all): (i64, i64)) -> i32 {
    i32::try_from((i64::from(desired) * own + all - 1) / all).unwrap_or(desired)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn revision(hash: &str, replicas: i32, available: i32) -> Revision {
        Revision { hash: hash.to_owned(), replicas, available, is_target: hash == "new" }
    }

    fn map(list: &[(&str, i32)]) -> BTreeMap<String, i32> {
        list.iter().map(|(hash, number)| ((*hash).to_owned(), *number)).collect()
    }

    #[test]
    fn the_only_revision_gets_everything_whatever_its_pods_are() {
        for available in [0, 1, 5] {
            let only = [revision("new", 5, available)];
            assert_eq!(weights(5, &only, Some(&map(&[("new", 9)])), None), map(&[("new", 100)]));
        }
    }

    #[test]
    fn a_rolling_update_divides_by_the_pods_that_serve_and_stay() {
        let two = [revision("old", 3, 3), revision("new", 3, 2)];
        assert_eq!(weights(4, &two, None, None), map(&[("old", 3), ("new", 2)]));
        let planned = map(&[("old", 1), ("new", 4)]);
        assert_eq!(weights(4, &two, Some(&planned), None), map(&[("old", 1), ("new", 2)]));
    }

    #[test]
    fn a_new_revision_gets_no_request_before_a_pod_of_it_serves() {
        let two = [revision("old", 2, 2), revision("new", 1, 0)];
        assert_eq!(weights(2, &two, None, None), map(&[("old", 2), ("new", 0)]));
        let none = [revision("old", 2, 0), revision("new", 1, 0)];
        assert_eq!(weights(2, &none, None, None), map(&[("old", 2), ("new", 1)]));
        let empty = [revision("old", 0, 0), revision("new", 0, 0)];
        assert_eq!(weights(2, &empty, None, None), map(&[("old", 0), ("new", 1)]));
    }

    #[test]
    fn a_revision_on_trial_gets_its_share_and_no_more_than_its_pods_carry() {
        let weight = |asked: i32, available: i32| {
            let two = [revision("old", 10, 10), revision("new", 3, available)];
            let weights = weights(10, &two, None, Some(CanaryShare { revision: "new", weight: asked }));
            assert_eq!(weights.values().sum::<i32>(), 100);
            weights["new"]
        };
        assert_eq!([weight(5, 3), weight(25, 3), weight(50, 3), weight(50, 0)], [5, 25, 30, 0]);
    }

    #[test]
    fn a_revision_on_trial_is_not_flooded_while_the_others_have_no_pod() {
        let two = [revision("old", 10, 0), revision("new", 1, 1)];
        let weights = weights(10, &two, None, Some(CanaryShare { revision: "new", weight: 5 }));
        assert_eq!(weights, map(&[("old", 95), ("new", 5)]));
    }

    #[test]
    fn pods_stay_until_the_gateway_has_taken_the_weights_without_them() {
        let two = [revision("old", 3, 3), revision("new", 2, 2)];
        let mut planned = map(&[("old", 1), ("new", 4)]);
        let moved = map(&[("old", 1), ("new", 2)]);
        assert!(keep(&mut planned, 4, &two, Some(&map(&[("old", 100)])), &moved));
        assert_eq!(planned, map(&[("old", 3), ("new", 2)]));
        let mut planned = map(&[("old", 1), ("new", 4)]);
        assert!(!keep(&mut planned, 4, &two, Some(&moved), &moved), "the gateway follows them");
        assert_eq!(planned, map(&[("old", 1), ("new", 4)]));
    }

    #[test]
    fn the_only_pod_may_leave_first_if_it_may_be_unavailable() {
        let two = [revision("old", 1, 1), revision("new", 0, 0)];
        let mut planned = map(&[("old", 0), ("new", 0)]);
        let moved = weights(1, &two, Some(&planned), None);
        assert!(
            !keep(&mut planned, 1, &two, Some(&map(&[("old", 100)])), &moved),
            "no other pod could answer"
        );
        assert_eq!(planned, map(&[("old", 0), ("new", 0)]));
    }

    fn revisions() -> impl Strategy<Value = Vec<Revision>> {
        prop::collection::vec((0..200_i32, 0..200_i32), 1..5).prop_map(|pods| {
            let last = pods.len() - 1;
            let named = pods.into_iter().enumerate().map(|(at, (replicas, available))| Revision {
                hash: format!("r{at}"),
                replicas,
                available,
                is_target: at == last,
            });
            named.collect()
        })
    }

    fn plans() -> impl Strategy<Value = Vec<i32>> {
        prop::collection::vec(0..200_i32, 5)
    }

    fn planned(revisions: &[Revision], replicas: &[i32]) -> BTreeMap<String, i32> {
        revisions.iter().zip(replicas).map(|(one, replicas)| (one.hash.clone(), *replicas)).collect()
    }

    proptest! {
        #[test]
        fn every_revision_has_a_weight_and_some_revision_gets_requests(
            revisions in revisions(), replicas in plans(), desired in 0..200_i32, asked in prop::option::of(0..=100_i32),
        ) {
            let plan = planned(&revisions, &replicas);
            let trial = asked.map(|weight| CanaryShare { revision: "r0", weight });
            let weights = weights(desired, &revisions, Some(&plan), trial);
            prop_assert_eq!(weights.len(), revisions.len());
            prop_assert!(weights.values().all(|weight| (0..=1_000_000).contains(weight)));
            prop_assert!(weights.values().any(|weight| *weight > 0));
            if asked.is_some() {
                prop_assert_eq!(weights.values().sum::<i32>(), 100);
            }
        }

        #[test]
        fn no_request_goes_to_a_revision_without_a_pod_while_another_has_one(
            revisions in revisions(), replicas in plans(), desired in 0..200_i32,
        ) {
            let plan = planned(&revisions, &replicas);
            let weights = weights(desired, &revisions, Some(&plan), None);
            if revisions.iter().any(|one| one.available.min(one.replicas) > 0) {
                for one in revisions.iter().filter(|one| one.available.min(one.replicas) <= 0) {
                    prop_assert_eq!(weights[&one.hash], 0);
                }
            }
        }

        #[test]
        fn a_trial_never_passes_its_weight_nor_what_its_pods_carry(
            revisions in revisions(), desired in 1..200_i32, weight in 0..=100_i32,
        ) {
            prop_assume!(revisions.len() > 1);
            let given = weights(desired, &revisions, None, Some(CanaryShare { revision: "r0", weight }))["r0"];
            let pods = revisions[0].available.min(revisions[0].replicas).max(0);
            prop_assert!(given <= weight && given <= 100 * pods / desired);
        }

        #[test]
        fn keeping_pods_never_adds_one_and_never_passes_the_plan_and_what_exists(
            revisions in revisions(), replicas in plans(), desired in 1..200_i32,
            before in plans(), after in plans(), known: bool,
        ) {
            let plan = planned(&revisions, &replicas);
            let (taken, moved) = (planned(&revisions, &before), planned(&revisions, &after));
            let mut kept = plan.clone();
            keep(&mut kept, desired, &revisions, known.then_some(&taken), &moved);
            for one in &revisions {
                prop_assert!(kept[&one.hash] <= plan[&one.hash].max(one.replicas));
                prop_assert!(kept[&one.hash] >= plan[&one.hash].min(one.replicas));
            }
            let sum = |of: &BTreeMap<String, i32>| of.values().sum::<i32>();
            let existing: i32 = revisions.iter().map(|one| one.replicas).sum();
            prop_assert!(sum(&kept) <= sum(&plan).max(existing));
        }
    }
}
