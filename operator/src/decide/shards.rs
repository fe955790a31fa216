//! Which shards of a cache its consumers may use. Pure.

use super::leaving::ordinal;
use super::pass::Pass;
use crate::observe::cluster::{caches::Observed, pods::CachedPod};
use scalableapp_engine::hpa::pod::ReadyStatus;
use std::collections::BTreeMap;

impl Pass {
    /// Listed shards of each cache, by its name: those of the ordinals below this number.
    #[must_use]
    pub fn shards(&self, observed: &Observed) -> BTreeMap<String, i32> {
        let listed = self.kept.iter().map(|(name, kept)| {
            let ready = observed.pods_of(name).filter(|pod| is_ready(pod));
            (name.clone(), listed(*kept, ready.filter_map(|pod| ordinal(&pod.pod.name))))
        });
        listed.collect()
    }
}

/// A new shard is listed when it is ready. A leaving one is not from the decision on. A crashed one stays, so that its keys
/// stay where they are, unless no ready one is above it. Without any ready one all are listed: consumers that start now
/// must know where the cache will be. `kept` are the shards that do not leave.
fn listed(kept: i32, ready: impl Iterator<Item = i32>) -> i32 {
    ready.filter(|ordinal| *ordinal < kept).max().map_or(kept, |highest| highest.saturating_add(1))
}

fn is_ready(pod: &CachedPod) -> bool {
    let ready = pod.pod.ready.as_ref();
    !pod.pod.deleting && ready.is_some_and(|ready| ready.status == ReadyStatus::True)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{DecideMemory, View, pass};
    use crate::kinds::Kind;
    use crate::observe::{cluster::cached::CachedWorkload, snapshot::Samples};
    use crate::resolve::{app::App, resolve};
    use jiff::Timestamp;
    use rstest::rstest;
    use serde_json::json;
    use std::sync::Arc;

    #[rstest]
    #[case::before_the_first_is_ready(2, &[], 2)]
    #[case::all_are_ready(3, &[0, 1, 2], 3)]
    #[case::a_new_one_starts(3, &[0, 1], 2)]
    #[case::one_leaves_that_is_ready(1, &[0, 1], 1)]
    #[case::only_one_that_leaves_is_ready(2, &[2], 2)]
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

    /// A pass over a cache of so many wanted shards, with a StatefulSet of this size and these ready shards.
    fn look(
        (replicas, wanted): (i32, i32),
        ready: &[i32],
        (samples, second): (&Samples, i64),
        memory: &mut DecideMemory,
    ) -> (App, Pass, Observed) {
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
        let now = Timestamp::from_second(second).expect("a time");
        let pass = pass(&app, None, View::new(&observed, samples, now), memory);
        (app, pass, observed)
    }

    /// Listed shards of such a cache.
    fn shards(replicas: i32, wanted: i32, ready: &[i32]) -> Option<i32> {
        let samples = Samples::default();
        let (_, pass, observed) =
            look((replicas, wanted), ready, (&samples, 0), &mut DecideMemory::default());
        pass.shards(&observed).remove("hot")
    }

    #[test]
    fn a_shard_leaves_the_list_once_and_its_statefulset_later() {
        let mut memory = DecideMemory::default();
        let replicas = |pass: &Pass| pass.plan.replicas["hot"].values().sum::<i32>();
        let none = Samples::default();
        let (app, pass, observed) = look((3, 2), &[0, 1, 2], (&none, 0), &mut memory);
        assert_eq!((pass.shards(&observed)["hot"], replicas(&pass)), (2, 3));
        let decision = pass.components[1].decision.as_ref().expect("a decision");
        assert_eq!((decision.current, decision.desired), (3, 2));
        memory.commit(app.component("hot").expect("the cache"), decision, true);

        let (_, pass, observed) = look((3, 2), &[0, 1, 2], (&none, 200), &mut memory);
        assert_eq!((pass.shards(&observed)["hot"], replicas(&pass)), (2, 3), "its use is not known");
        let decision = pass.components[1].decision.as_ref().expect("a decision");
        assert_eq!(
            (decision.current, decision.desired, &decision.change),
            (2, 2, &None),
            "nothing else is decided"
        );

        let unused = Samples::of_shards(
            "shop",
            Timestamp::from_second(200).expect("a time"),
            [("shop-hot-2".to_owned(), 0.0)],
        );
        let (_, pass, observed) = look((3, 2), &[0, 1, 2], (&unused, 200), &mut memory);
        assert_eq!((pass.shards(&observed)["hot"], replicas(&pass)), (2, 2));
        let (_, pass, observed) = look((3, 3), &[0, 1, 2], (&unused, 200), &mut memory);
        assert_eq!((pass.shards(&observed)["hot"], replicas(&pass)), (3, 3), "it is needed again");
        let (_, pass, observed) = look((2, 2), &[0, 1], (&none, 205), &mut memory);
        assert_eq!((pass.shards(&observed)["hot"], replicas(&pass)), (2, 2));
    }

    #[test]
    fn shards_are_listed_by_their_pods_and_by_the_plan() {
        assert_eq!(shards(2, 2, &[0]), Some(1), "the second one is not ready yet");
        assert_eq!(shards(3, 2, &[0, 1, 2]), Some(2), "the third one is to leave");
        assert_eq!(shards(2, 3, &[0, 1]), Some(2), "a third one is to come");
    }
}
