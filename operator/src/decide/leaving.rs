//! Shards that leave a cache: their consumers no longer find them in the list, and they stay until nobody uses them. Pure.
//!
//! From the decision on the cache is as large as its list, so a leaving shard counts for nothing else. Its StatefulSet
//! shrinks later. What is not known about a shard is no sign that nobody uses it.

use super::memory::DecideMemory;
use super::pass::{ComponentPass, View};
use crate::observe::{cluster::pods::CachedPod, snapshot::Samples};
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::Tier;
use scalableapp_engine::rollout::Plan;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest wait for consumers that go on using a shard.
pub const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// The shards of a cache that leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaving {
    /// Listed shards: those of the ordinals from here on leave.
    listed: i32,
    /// When the last ones left the list.
    since: Timestamp,
}

impl Leaving {
    /// After a decision that changes the listed shards; `None` if none leaves.
    pub(super) fn after(earlier: Option<Self>, (from, to): (i32, i32), now: Timestamp) -> Option<Self> {
        if to < from {
            return Some(Self { listed: to, since: now });
        }
        earlier.map(|earlier| Self { listed: to, ..earlier })
    }

    /// The listed shards of a cache with this StatefulSet.
    pub(super) fn listed(self, replicas: i32) -> i32 {
        self.listed.min(replicas)
    }

    /// The replicas of the StatefulSet that may be left now, at least `planned`: a shard stays while one above it does.
    fn replicas<'a>(
        leaving: Option<Self>,
        (planned, current): (i32, i32),
        pods: impl Iterator<Item = &'a Arc<CachedPod>>,
        samples: &Samples,
        now: Timestamp,
    ) -> i32 {
        let Some(leaving) = leaving.filter(|leaving| leaving.listed <= planned) else { return current };
        // A clock that was set back does not prolong it.
        if now.duration_since(leaving.since).abs() >= LONGEST {
            return planned;
        }
        let is_unused = |pod: &CachedPod| {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            samples.is_unused_since(namespace, &pod.pod.name, leaving.since)
        };
        let unused: Vec<i32> =
            pods.filter(|pod| is_unused(pod)).filter_map(|pod| ordinal(&pod.pod.name)).collect();
        let stays = (planned..current).rev().find(|ordinal| !unused.contains(ordinal));
        stays.map_or(planned, |ordinal| ordinal.saturating_add(1))
    }
}

/// Keeps shards that are no longer listed in the plan until they may go. Returns the shards of each cache that do not leave.
pub(super) fn keep_leaving_shards(
    plan: &mut Plan,
    components: &[ComponentPass],
    view: View<'_>,
    memory: &mut DecideMemory,
) -> BTreeMap<String, i32> {
    let mut kept = BTreeMap::new();
    for ComponentPass { state, .. } in components.iter().filter(|one| one.state.tier == Tier::Cache) {
        let name = state.name.as_str();
        let current = state.revisions.iter().map(|revision| revision.replicas).sum();
        let leaving = memory.leaving(name, current);
        let planned = plan.replicas.get_mut(name).and_then(|planned| planned.get_mut(&state.target));
        let Some(planned) = planned else {
            kept.insert(name.to_owned(), leaving.map_or(current, |leaving| leaving.listed(current)));
            continue;
        };
        kept.insert(name.to_owned(), *planned);
        if *planned < current {
            let pods = view.observed.pods_of(name);
            *planned = Leaving::replicas(leaving, (*planned, current), pods, view.samples, view.now);
        }
    }
    kept
}

/// The ordinal of a pod of a StatefulSet.
pub(super) fn ordinal(pod: &str) -> Option<i32> {
    pod.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// The replicas of three shards of which one is listed since second 0, at this second, with these commands a second
    /// of the second and the third.
    fn replicas(second: i64, commands: [Option<f64>; 2]) -> i32 {
        let pod = |ordinal: usize| {
            let pod = serde_json::from_value(
                json!({"metadata": {"name": format!("shop-hot-{ordinal}"), "namespace": "shop"}}),
            );
            Arc::new(pod.expect("a pod"))
        };
        let pods: Vec<Arc<CachedPod>> = (0..3).map(pod).collect();
        let used = commands.into_iter().enumerate();
        let used = used.filter_map(|(number, rate)| Some((format!("shop-hot-{}", number + 1), rate?)));
        let samples = Samples::of_shards("shop", at(second), used.chain([("shop-hot-0".to_owned(), 0.0)]));
        let leaving = Leaving::after(None, (3, 1), at(0));
        Leaving::replicas(leaving, (1, 3), pods.iter(), &samples, at(second))
    }

    #[test]
    fn a_shard_that_left_the_list_stays_until_nobody_uses_it() {
        assert_eq!(replicas(59, [Some(0.0), Some(0.0)]), 3, "the window is older than the list");
        assert_eq!(replicas(60, [Some(0.0), Some(0.0)]), 1);
        assert_eq!(replicas(60, [Some(0.5), Some(0.0)]), 2);
        assert_eq!(replicas(60, [Some(0.0), Some(0.01)]), 3, "a shard stays while one above it does");
        assert_eq!(replicas(299, [Some(9.0), Some(9.0)]), 3);
        assert_eq!(replicas(300, [Some(9.0), Some(9.0)]), 1, "no longer than that");
    }

    #[test]
    fn a_shard_whose_use_is_not_known_stays() {
        assert_eq!(replicas(120, [Some(0.0), None]), 3);
        assert_eq!(replicas(120, [None, Some(0.0)]), 2);
        assert_eq!(replicas(300, [None, None]), 1);
    }

    #[test]
    fn what_is_not_in_the_list_is_what_the_last_decision_said() {
        let first = Leaving::after(None, (4, 3), at(0));
        assert_eq!(first.map(|one| (one.listed(4), one.listed(2))), Some((3, 2)));
        let lower = Leaving::after(first, (3, 1), at(100));
        assert_eq!(lower, Some(Leaving { listed: 1, since: at(100) }));
        let back = Leaving::after(lower, (1, 2), at(200));
        assert_eq!(back, Some(Leaving { listed: 2, since: at(100) }));
        assert_eq!(Leaving::after(None, (1, 2), at(0)), None);
    }

    #[test]
    fn a_decision_that_is_not_made_yet_takes_no_shard() {
        let samples = Samples::of_shards("shop", at(9_999), []);
        assert_eq!(Leaving::replicas(None, (1, 3), [].iter(), &samples, at(9_999)), 3);
        let other = Leaving::after(None, (4, 2), at(0));
        assert_eq!(Leaving::replicas(other, (1, 3), [].iter(), &samples, at(9_999)), 3);
    }

    #[test]
    fn the_ordinal_of_a_shard_is_the_end_of_its_name() {
        assert_eq!(ordinal("shop-sessions-12"), Some(12));
        assert_eq!(ordinal("shop-sessions"), None);
    }
}
