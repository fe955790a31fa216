//! Which shards of a cache its consumers may use. Pure.

use super::pass::Pass;
use crate::observe::cluster::{caches::Observed, pods::CachedPod};
use scalableapp_crds::Tier;
use scalableapp_engine::hpa::pod::ReadyStatus;
use std::collections::BTreeMap;

impl Pass {
    /// Listed shards of each cache, by its name: those of the ordinals below this number.
    #[must_use]
    pub fn shards(&self, observed: &Observed) -> BTreeMap<String, i32> {
        let states = self.components.iter().map(|one| &one.state).filter(|state| state.tier == Tier::Cache);
        let listed = states.map(|state| {
            let planned = self.plan.replicas.get(&state.name);
            let planned = planned.map_or_else(
                || state.revisions.iter().map(|revision| revision.replicas).sum(),
                |planned| planned.values().sum(),
            );
            let ready = observed.pods_of(&state.name).filter(|pod| is_ready(pod));
            (state.name.clone(), listed(planned, ready.filter_map(|pod| ordinal(&pod.pod.name))))
        });
        listed.collect()
    }
}

/// A new shard is listed when it is ready. A leaving one is not from the decision on, before its replicas are written. A
/// crashed one stays, so that its keys stay where they are, unless no ready one is above it. Without any ready one all
/// are listed: consumers that start now must know where the cache will be.
fn listed(planned: i32, ready: impl Iterator<Item = i32>) -> i32 {
    ready.max().map_or(planned, |highest| highest.saturating_add(1)).min(planned)
}

fn is_ready(pod: &CachedPod) -> bool {
    let ready = pod.pod.ready.as_ref();
    !pod.pod.deleting && ready.is_some_and(|ready| ready.status == ReadyStatus::True)
}

fn ordinal(pod: &str) -> Option<i32> {
    pod.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{DecideMemory, View, pass};
    use crate::kinds::Kind;
    use crate::observe::{cluster::cached::CachedWorkload, snapshot::Samples};
    use crate::resolve::resolve;
    use jiff::Timestamp;
    use rstest::rstest;
    use serde_json::json;
    use std::sync::Arc;

    #[rstest]
    #[case::before_the_first_is_ready(2, &[], 2)]
    #[case::all_are_ready(3, &[0, 1, 2], 3)]
    #[case::a_new_one_starts(3, &[0, 1], 2)]
    #[case::one_leaves_that_is_ready(1, &[0, 1], 1)]
    #[case::one_crashed_below_another(3, &[0, 2], 3)]
    #[case::the_last_one_crashed(3, &[0, 1], 2)]
    #[case::all_leave(0, &[0], 0)]
    fn a_shard_is_listed_from_ready_until_it_is_to_leave(
        #[case] planned: i32,
        #[case] ready: &[i32],
        #[case] expected: i32,
    ) {
        assert_eq!(listed(planned, ready.iter().copied()), expected);
    }

    /// Listed shards of a cache with a StatefulSet of this size and these ready shards.
    fn shards(replicas: i32, wanted: i32, ready: &[i32]) -> Option<i32> {
        let app = json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
            "spec": {
                "services": [{"name": "web", "image": "shop:1", "port": 8080}],
                "caches": [{"name": "hot", "redis": {"shards": {"min": wanted, "max": wanted}, "memory": "64Mi"}}],
            },
        });
        let app = resolve(&serde_json::from_value(app).expect("an app")).expect("no problem");
        let labels = json!({"scalableapp.dev/app": "shop", "scalableapp.dev/component": "hot"});
        let owner = |kind: &str, name: &str| json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "1", "controller": true}]);
        let set: CachedWorkload = serde_json::from_value(json!({
            "metadata": {"name": "shop-hot", "namespace": "shop", "uid": "2", "labels": labels,
                "ownerReferences": owner("ScalableApp", "shop")},
            "spec": {"replicas": replicas}, "status": {"replicas": replicas},
        }))
        .expect("a StatefulSet");
        let pod = |ordinal: i32| -> Arc<CachedPod> {
            let status = if ready.contains(&ordinal) { "True" } else { "False" };
            let pod = serde_json::from_value(json!({
                "metadata": {"name": format!("shop-hot-{ordinal}"), "namespace": "shop", "labels": labels,
                    "ownerReferences": owner("StatefulSet", "shop-hot")},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
            }));
            Arc::new(pod.expect("a pod"))
        };
        let observed = Observed {
            workloads: BTreeMap::from([(Kind::StatefulSet, Arc::new(vec![Arc::new(set)]))]),
            pods: Arc::new((0..replicas).map(pod).collect()),
            ..Observed::default()
        };
        let samples = Samples::default();
        let view = View::new(&observed, &samples, Timestamp::UNIX_EPOCH);
        let pass = pass(&app, None, view, &mut DecideMemory::default());
        pass.shards(&observed).remove("hot")
    }

    #[test]
    fn shards_are_listed_by_their_pods_and_by_the_plan() {
        assert_eq!(shards(2, 2, &[0]), Some(1), "the second one is not ready yet");
        assert_eq!(shards(3, 2, &[0, 1, 2]), Some(2), "the third one is to leave");
        assert_eq!(shards(2, 3, &[0, 1]), Some(2), "a third one is to come");
    }

    #[test]
    fn the_ordinal_of_a_shard_is_the_end_of_its_name() {
        assert_eq!(ordinal("shop-sessions-12"), Some(12));
        assert_eq!(ordinal("shop-sessions"), None);
    }
}
