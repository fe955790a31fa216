//! The distribution of free connections over the components that need more. Pure.

/// What a component asks for, in pods.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// Connections of each pod, at least 1.
    pub(super) per_pod: i64,
    /// Pods that it has.
    pub(super) pods: i64,
    /// Its minimum.
    pub(super) least: i64,
    /// What its metrics ask for.
    pub(super) wanted: i64,
    /// Pods of a rollout above that.
    pub(super) surge: i64,
}

/// What it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allotment {
    /// Pods that may exist now, at least those that it has.
    pub(super) pods: i64,
    /// Pods that it could have if nothing else grew.
    pub(super) at_rest: i64,
}

/// Distributes the connections that are `free`: first for the minimum of each component, then for what the metrics ask
/// for, then for the surge of rollouts. In each round the next pod goes to the component with the smallest share of its
/// target; the first of equals. If the free connections are not known, nothing grows beyond the minimum.
pub(super) fn distribute(free: Option<i64>, claims: &[Claim]) -> Vec<Allotment> {
    let Some(mut free) = free else {
        return claims.iter().map(|claim| Allotment::of(claim.pods.max(claim.least), 0, 1)).collect();
    };
    let mut pods: Vec<i64> = claims.iter().map(|claim| claim.pods).collect();
    let targets: [fn(&Claim) -> i64; 3] =
        [|claim| claim.least, |claim| claim.wanted, |claim| claim.wanted + claim.surge];
    for target in targets {
        fill(&mut free, claims, &mut pods, target);
    }
    claims.iter().zip(pods).map(|(claim, pods)| Allotment::of(pods, free, claim.per_pod)).collect()
}

impl Allotment {
    fn of(pods: i64, free: i64, per_pod: i64) -> Self {
        Self { pods, at_rest: pods + free.max(0) / per_pod }
    }
}

fn fill(free: &mut i64, claims: &[Claim], pods: &mut [i64], target: fn(&Claim) -> i64) {
    let missing = |(claim, pods): (&Claim, &i64)| (target(claim) - pods).max(0) * claim.per_pod;
    let needed: i64 = claims.iter().zip(pods.iter()).map(missing).sum();
    if needed <= *free {
        *free -= needed;
        pods.iter_mut().zip(claims).for_each(|(pods, claim)| *pods = target(claim).max(*pods));
        return;
    }
    loop {
        let open = claims
            .iter()
            .enumerate()
            .filter(|(at, claim)| pods[*at] < target(claim) && claim.per_pod <= *free);
        // pods / target, compared without a division.
        let next =
            open.min_by(|(a, one), (b, other)| (pods[*a] * target(other)).cmp(&(pods[*b] * target(one))));
        let Some((at, claim)) = next else { return };
        pods[at] += 1;
        *free -= claim.per_pod;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(per_pod: i64, pods: i64, wanted: i64) -> Claim {
        Claim { per_pod, pods, least: 1, wanted, surge: 0 }
    }

    fn pods(free: i64, claims: &[Claim]) -> Vec<i64> {
        distribute(Some(free), claims).iter().map(|share| share.pods).collect()
    }

    #[test]
    fn what_suffices_for_all_is_given_to_all() {
        assert_eq!(pods(40, &[claim(5, 2, 6), claim(4, 1, 6)]), [6, 6]);
    }

    #[test]
    fn growth_is_shared_by_need_and_not_by_name() {
        assert_eq!(pods(20, &[claim(5, 1, 10), claim(5, 1, 10)]), [3, 3]);
        assert_eq!(pods(20, &[claim(5, 4, 10), claim(5, 1, 10)]), [5, 4], "the one behind comes first");
    }

    #[test]
    fn the_minimum_of_all_comes_before_the_load_of_one() {
        let idle = Claim { least: 3, ..claim(5, 0, 3) };
        assert_eq!(pods(20, &[claim(5, 9, 20), idle]), [10, 3]);
    }

    #[test]
    fn the_surge_comes_last_and_what_exists_is_never_taken() {
        let rolling = Claim { surge: 2, ..claim(5, 4, 4) };
        assert_eq!(pods(10, &[rolling, claim(5, 1, 2)]), [5, 2]);
        assert_eq!(pods(-30, &[rolling, claim(5, 1, 2)]), [4, 1], "the budget shrank below what is held");
    }

    #[test]
    fn a_budget_that_is_not_known_admits_the_minimum_alone() {
        let new = Claim { least: 2, ..claim(5, 0, 9) };
        let shares = distribute(None, &[new, claim(5, 4, 9)]);
        assert_eq!(shares, [Allotment { pods: 2, at_rest: 2 }, Allotment { pods: 4, at_rest: 4 }]);
    }

    proptest! {
        #[test]
        fn no_more_is_given_than_is_free_and_nothing_is_left_that_fits(
            free in -20..120_i64,
            claims in proptest::collection::vec((1..9_i64, 0..12_i64, 0..6_i64, 0..20_i64, 0..4_i64), 0..6),
        ) {
            let claim = |(per_pod, pods, least, wanted, surge): (i64, i64, i64, i64, i64)| Claim { per_pod, pods, least, wanted: wanted.max(least), surge };
            let claims: Vec<Claim> = claims.into_iter().map(claim).collect();
            let shares = distribute(Some(free), &claims);
            let given: i64 = claims.iter().zip(&shares).map(|(claim, share)| (share.pods - claim.pods) * claim.per_pod).sum();
            prop_assert!(given <= free.max(0));
            for (claim, share) in claims.iter().zip(&shares) {
                prop_assert!(share.pods >= claim.pods);
                let is_full = share.pods >= claim.wanted + claim.surge;
                prop_assert!(is_full || claim.per_pod > free - given, "{claim:?} {share:?}");
            }
        }
    }
}
