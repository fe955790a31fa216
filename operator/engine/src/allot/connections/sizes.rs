//! The sizes of pools that fit a budget. Pure.

/// The pools of a component, each of the same size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pools {
    /// Pods that may exist now.
    pub(super) pods: i64,
    /// Pods that are wanted, and those that are leaving.
    pub(super) wanted: i64,
    /// Connections of a pod beside its pool.
    pub(super) hidden: i64,
    /// The smallest and the largest size.
    pub(super) range: (i64, i64),
    /// The size that pods are told.
    pub(super) set: i64,
    /// The size that counts for each pod.
    pub(super) counted: i64,
}

/// The size that pods of each component are told next. Where the wanted pods do not fit, the pools above their minimum
/// become smaller, the one that is furthest above it first. A pool becomes larger only where that fits at once.
pub(super) fn sizes(budget: i64, all: &[Pools]) -> Vec<i64> {
    let fitting = fitting(budget, all);
    let held = |one: &Pools, counted: i64| one.pods * (counted + one.hidden);
    let mut total: i64 = all.iter().map(|one| held(one, one.counted)).sum();
    let next = all.iter().zip(fitting).map(|(one, size)| {
        let growth = held(one, size.max(one.counted)) - held(one, one.counted);
        if size > one.set && total + growth > budget {
            return one.set;
        }
        total += growth;
        size
    });
    next.collect()
}

/// The largest sizes with which the wanted pods fit, or the smallest ones.
fn fitting(budget: i64, all: &[Pools]) -> Vec<i64> {
    let mut sizes: Vec<i64> = all.iter().map(|one| one.range.1).collect();
    let need: i64 = all.iter().zip(&sizes).map(|(one, size)| one.wanted * (size + one.hidden)).sum();
    let mut excess = need - budget;
    while excess > 0 {
        let above = |at: &usize| sizes[*at] - all[*at].range.0;
        let shrinkable = (0..all.len()).filter(|at| above(at) > 0 && all[*at].wanted > 0);
        // The first of equals.
        let Some(at) = shrinkable.rev().max_by_key(above) else { break };
        sizes[at] -= 1;
        excess -= all[at].wanted;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pools(pods: i64, wanted: i64, range: (i64, i64), set: i64) -> Pools {
        Pools { pods, wanted, hidden: 0, range, set, counted: set }
    }

    #[test]
    fn pools_shrink_to_their_minimum_for_more_pods_and_grow_again() {
        assert_eq!(sizes(40, &[pools(4, 8, (4, 10), 10)]), [5]);
        assert_eq!(sizes(40, &[pools(4, 20, (4, 10), 10)]), [4], "the others are refused");
        assert_eq!(sizes(40, &[pools(4, 4, (4, 10), 5)]), [10]);
        assert_eq!(sizes(40, &[pools(8, 4, (4, 10), 5)]), [5], "pods that leave still hold theirs");
    }

    #[test]
    fn a_larger_declared_size_waits_until_it_fits() {
        assert_eq!(sizes(40, &[pools(4, 4, (20, 20), 10)]), [10]);
        assert_eq!(sizes(80, &[pools(4, 4, (20, 20), 10)]), [20]);
    }

    #[test]
    fn the_pool_furthest_above_its_minimum_shrinks_first() {
        let all = [pools(2, 2, (4, 6), 6), pools(2, 2, (4, 12), 12)];
        assert_eq!(sizes(30, &all), [6, 9]);
    }

    proptest! {
        #[test]
        fn a_size_that_grows_fits_with_all_pods_that_exist(
            budget in 0..200_i64,
            all in proptest::collection::vec((0..10_i64, 0..12_i64, 0..3_i64, 1..8_i64, 0..12_i64, 0..12_i64), 1..5),
        ) {
            let one = |(pods, wanted, hidden, min, more, set): (i64, i64, i64, i64, i64, i64)| {
                let range = (min, min + more);
                let set = set.clamp(min, min + more);
                Pools { pods, wanted: wanted.max(pods), hidden, range, set, counted: set }
            };
            let all: Vec<Pools> = all.into_iter().map(one).collect();
            let held = |sizes: &[i64]| all.iter().zip(sizes).map(|(one, size)| one.pods * (size + one.hidden)).sum::<i64>();
            let before: Vec<i64> = all.iter().map(|one| one.set).collect();
            // Until they report, the larger size counts.
            let next = sizes(budget, &all);
            let during: Vec<i64> = next.iter().zip(&before).map(|(next, set)| *next.max(set)).collect();
            prop_assert!(held(&during) <= budget.max(held(&before)), "{all:?} {next:?}");
            for (one, size) in all.iter().zip(next) {
                prop_assert!((one.range.0..=one.range.1).contains(&size));
            }
        }
    }
}
