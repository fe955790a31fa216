//! Caches and read replicas that were removed or renamed, and that pods of earlier revisions may still use. Pure.
//!
//! A pod keeps the variables and the files that it has started with. So a data tier that is no longer declared stays as it
//! is until no pod of an earlier revision is left. The removal itself makes a new revision of every service and worker.

use super::component_state::ComponentState;
use crate::{
    kinds::Kind,
    observe::cluster::{caches::Observed, owner::Controlled},
    resolve::app::App,
};
use scalableapp_crds::Tier;
use std::collections::{BTreeMap, BTreeSet};

/// The data tiers that stay for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Shards of each cache, by its name.
    pub caches: BTreeMap<String, i32>,
    /// Names of the databases with read replicas.
    pub readers: BTreeSet<String>,
}

impl Removed {
    /// The data tiers that are no longer declared, while pods of earlier revisions run.
    pub(super) fn of<'a>(
        app: &App,
        mut states: impl Iterator<Item = &'a ComponentState>,
        observed: &Observed,
    ) -> Self {
        let mut removed = Self::default();
        if !states.any(|state| has_earlier_pods(state, observed)) {
            return removed;
        }
        for set in observed.workloads.get(&Kind::StatefulSet).into_iter().flat_map(|sets| sets.iter()) {
            let labels = &set.labels;
            let Some(name) = labels.component.as_deref() else { continue };
            let is_own = set.controller_owner() == Some(app.uid.as_str())
                && labels.workload(Kind::StatefulSet) == set.metadata.name
                && set.metadata.deletion_timestamp.is_none();
            if !is_own || app.component(name).is_some() {
                continue;
            }
            match labels.tier {
                Some(Tier::Cache) => {
                    let shards = set.part.spec.replicas.unwrap_or(1);
                    removed.caches.insert(name.to_owned(), shards);
                }
                Some(Tier::Database) => _ = removed.readers.insert(name.to_owned()),
                Some(Tier::Service | Tier::Worker) | None => {}
            }
        }
        removed
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.caches.keys().chain(&self.readers).map(String::as_str)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.caches.is_empty() && self.readers.is_empty()
    }
}

/// Whether pods of a service or a worker have another revision than the declared one, or will.
fn has_earlier_pods(state: &ComponentState, observed: &Observed) -> bool {
    let is_earlier = |hash: Option<&str>| hash != Some(state.target.as_str());
    let revisions = || state.revisions.iter().filter(|one| one.replicas > 0).map(|one| one.hash.as_str());
    let pods = || observed.pods_of(&state.name).map(|pod| pod.labels.revision.as_deref());
    matches!(state.tier, Tier::Service | Tier::Worker)
        && (revisions().any(|hash| is_earlier(Some(hash))) || pods().any(is_earlier))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::{DecideMemory, View, pass},
        observe::snapshot::Samples,
        resolve::resolve,
    };
    use jiff::Timestamp;
    use rstest::rstest;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn labels(component: &str, tier: &str, revision: &str) -> Value {
        json!({"scalableapp.dev/app": "shop", "scalableapp.dev/component": component, "scalableapp.dev/tier": tier,
            "scalableapp.dev/revision": revision, "pod-template-hash": "1"})
    }

    fn owner(kind: &str, name: &str, uid: &str) -> Value {
        json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "controller": true}])
    }

    /// What stays of an app whose cache `hot` and read replicas `main` are no longer declared: with these replicas of an
    /// earlier revision of `web`, and perhaps one of its pods.
    fn removed(earlier_replicas: i32, has_pod: bool, owner_uid: &str) -> Removed {
        let app = json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
            "spec": {"services": [{"name": "web", "image": "shop:2", "port": 8080}]},
        });
        let app = resolve(&serde_json::from_value(app).expect("an app")).expect("no problem");
        let workload = |name: &str, labels: Value, replicas: i32| {
            let workload = serde_json::from_value(json!({
                "metadata": {"name": name, "labels": labels, "ownerReferences": owner("ScalableApp", "shop", owner_uid)},
                "spec": {"replicas": replicas}, "status": {"replicas": replicas},
            }));
            Arc::new(workload.expect("a workload"))
        };
        let target = app.components[0].revision.as_str();
        let deployments = vec![
            workload("shop-web-old", labels("web", "service", "old"), earlier_replicas),
            workload(&format!("shop-web-{target}"), labels("web", "service", target), 2),
        ];
        let sets = vec![
            workload("shop-hot", labels("hot", "cache", "a"), 3),
            workload("shop-main", labels("main", "database", "b"), 1),
        ];
        let pod = serde_json::from_value(json!({"metadata": {
            "name": "web-1", "labels": labels("web", "service", "old"),
            "ownerReferences": owner("ReplicaSet", "shop-web-old-1", "3"), "deletionTimestamp": "2026-01-01T00:00:00Z",
        }, "status": {"phase": "Running"}}));
        let pods = has_pod.then(|| Arc::new(pod.expect("a pod"))).into_iter().collect();
        let observed = Observed {
            workloads: BTreeMap::from([
                (Kind::Deployment, Arc::new(deployments)),
                (Kind::StatefulSet, Arc::new(sets)),
            ]),
            pods: Arc::new(pods),
            ..Observed::default()
        };
        let samples = Samples::default();
        let view = View::new(&observed, &samples, Timestamp::UNIX_EPOCH);
        pass(&app, None, view, &mut DecideMemory::default()).removed
    }

    #[rstest]
    #[case::an_earlier_revision_has_replicas(2, false, true)]
    #[case::its_last_pod_ends(0, true, true)]
    #[case::none_is_left(0, false, false)]
    fn a_removed_data_tier_stays_while_pods_of_an_earlier_revision_run(
        #[case] replicas: i32,
        #[case] has_pod: bool,
        #[case] stays: bool,
    ) {
        let removed = removed(replicas, has_pod, "1");
        let names: Vec<&str> = removed.names().collect();
        assert_eq!(names, if stays { vec!["hot", "main"] } else { vec![] });
        assert_eq!(removed.caches.get("hot").copied(), stays.then_some(3));
    }

    #[test]
    fn what_an_earlier_app_of_the_name_left_is_not_kept() {
        assert!(removed(2, true, "2").is_empty());
    }
}
