//! Which pods of a pool of workers leave first: those with the fewest running jobs. Pure.
//!
//! Kubernetes chooses the pods that leave. Of a revision it takes those that are not ready, then those of the lowest
//! deletion cost. So before a revision of workers shrinks, the pods that should leave get a cost below 0, and no other
//! pod has one. Where all pods run as many jobs, nothing needs to be written.

use super::pass::{Pass, View};
use crate::observe::{cluster::pods::CachedPod, snapshot::Samples};
use crate::resolve::app::App;
use scalableapp_crds::Tier;
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

/// The cost of a pod that should leave.
const LEAVES: i32 = -1;

/// A deletion cost to write.
#[derive(Clone, Debug)]
pub struct CostChange {
    /// The pod.
    pub pod: Arc<CachedPod>,
    /// The cost; `None` removes it.
    pub cost: Option<i32>,
}

/// The deletion costs to write before a revision shrinks, by component and hash of the revision.
pub type CostChanges = BTreeMap<(String, String), Vec<CostChange>>;

impl Pass {
    /// The deletion costs to write before the revisions of workers shrink as planned.
    pub(super) fn cost_changes(&self, app: &App, view: View<'_>) -> CostChanges {
        let workers = self.components.iter().map(|one| &one.state).filter(|one| one.tier == Tier::Worker);
        let mut changes = CostChanges::new();
        for state in workers {
            let planned = self.plan.replicas.get(&state.name);
            for live in &state.revisions {
                let Some(to) = planned.and_then(|planned| planned.get(&live.hash)) else { continue };
                if *to >= live.replicas {
                    continue;
                }
                let is_of = |pod: &&Arc<CachedPod>| {
                    !pod.pod.deleting && pod.labels.revision.as_deref() == Some(live.hash.as_str())
                };
                let pods = view.observed.pods_of(&state.name).filter(is_of).cloned().collect();
                let of_revision = costs(pods, usize::try_from(*to).unwrap_or_default(), |pod| {
                    busy(view.samples, &app.namespace, pod)
                });
                if !of_revision.is_empty() {
                    changes.insert((state.name.clone(), live.hash.clone()), of_revision);
                }
            }
        }
        changes
    }
}

/// Running jobs of a pod. One that does not export them is as busy as can be.
fn busy(samples: &Samples, namespace: &str, pod: &CachedPod) -> u32 {
    samples.running_jobs(namespace, &pod.pod).unwrap_or(u32::MAX)
}

/// The costs to write before these pods of one revision become `to`.
fn costs(mut pods: Vec<Arc<CachedPod>>, to: usize, busy: impl Fn(&CachedPod) -> u32) -> Vec<CostChange> {
    let leaving = pods.len().saturating_sub(to);
    if leaving == 0 || to == 0 {
        return Vec::new();
    }
    // Among pods with as many jobs those that have the cost already, then the youngest, as Kubernetes chooses.
    pods.sort_by_cached_key(|pod| {
        (pod.pod.is_ready(), busy(pod), pod.deletion_cost >= 0, Reverse(pod.pod.start), pod.pod.name.clone())
    });
    let (leave, stay) = pods.split_at(leaving);
    let ready = || pods.iter().filter(|pod| pod.pod.is_ready()).map(|pod| busy(pod));
    if ready().min() == ready().max() {
        return Vec::new();
    }
    let marked = leave.iter().filter(|pod| pod.deletion_cost >= 0);
    let marked = marked.map(|pod| CostChange { pod: Arc::clone(pod), cost: Some(LEAVES) });
    let unmarked = stay.iter().filter(|pod| pod.deletion_cost < 0);
    unmarked.map(|pod| CostChange { pod: Arc::clone(pod), cost: None }).chain(marked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// A pod with a cost; its running jobs are in its name.
    fn pod(name: &str, is_ready: bool, cost: i32) -> Arc<CachedPod> {
        let status = if is_ready { "True" } else { "False" };
        let pod = json!({
            "metadata": {"name": name, "annotations": {"controller.kubernetes.io/pod-deletion-cost": cost.to_string()}},
            "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "conditions": [
                {"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ]},
        });
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    fn jobs(pod: &CachedPod) -> u32 {
        let (_, jobs) = pod.pod.name.split_once('-').expect("a name with a number of jobs");
        jobs.parse().unwrap_or(u32::MAX)
    }

    fn changed(pods: &[Arc<CachedPod>], to: usize) -> Vec<(String, Option<i32>)> {
        let changes = costs(pods.to_vec(), to, jobs);
        changes.iter().map(|one| (one.pod.pod.name.to_string(), one.cost)).collect()
    }

    #[test]
    fn the_pods_with_the_fewest_jobs_leave_and_one_that_tells_none_is_busy() {
        let pods = [pod("a-3", true, 0), pod("b-unknown", true, 0), pod("c-0", true, 0), pod("d-1", true, 0)];
        assert_eq!(changed(&pods, 3), [("c-0".to_owned(), Some(-1))]);
        assert_eq!(changed(&pods, 2), [("c-0".to_owned(), Some(-1)), ("d-1".to_owned(), Some(-1))]);
    }

    #[test]
    fn nothing_is_written_where_any_pod_may_leave() {
        let idle = [pod("a-0", true, 0), pod("b-0", true, 0), pod("c-0", false, 0)];
        assert_eq!(changed(&idle, 1), [], "all are idle");
        let unknown = [pod("a-unknown", true, 0), pod("b-unknown", true, 0)];
        assert_eq!(changed(&unknown, 1), [], "no pod tells of its jobs");
        let busy = [pod("a-0", true, 0), pod("b-3", true, 0)];
        assert_eq!(changed(&busy, 0), [], "all leave");
        assert_eq!(changed(&busy, 2), [], "none leaves");
    }

    #[test]
    fn a_pod_that_was_to_leave_and_took_a_job_is_to_stay_again() {
        let pods = [pod("a-3", true, -1), pod("b-0", true, 0)];
        assert_eq!(changed(&pods, 1), [("a-3".to_owned(), None), ("b-0".to_owned(), Some(-1))]);
        let marked = [pod("a-0", true, 0), pod("b-0", true, -1), pod("c-3", true, 5)];
        assert_eq!(changed(&marked, 2), [], "one of the idle pods is to leave already");
    }

    /// The pods that Kubernetes deletes of these, by the rules that this file relies on.
    fn deleted(pods: &[Arc<CachedPod>], changes: &[CostChange], to: usize) -> Vec<Arc<CachedPod>> {
        let cost = |pod: &Arc<CachedPod>| {
            let change = changes.iter().find(|change| change.pod.pod.name == pod.pod.name);
            change.map_or(pod.deletion_cost, |change| change.cost.unwrap_or(0))
        };
        let mut pods = pods.to_vec();
        pods.sort_by_key(|pod| (pod.pod.is_ready(), cost(pod)));
        pods.truncate(pods.len().saturating_sub(to));
        pods
    }

    proptest! {
        #[test]
        fn whichever_pods_there_are_no_ready_one_leaves_that_has_more_jobs_than_one_that_stays(
            pods in proptest::collection::vec((0..5_u32, any::<bool>(), -2..3_i32), 1..8), to in 0..8_usize,
        ) {
            let one = |(index, (jobs, is_ready, cost)): (usize, &(u32, bool, i32))| {
                pod(&format!("p{index}-{jobs}"), *is_ready, *cost)
            };
            let pods: Vec<_> = pods.iter().enumerate().map(one).collect();
            let deleted = deleted(&pods, &costs(pods.clone(), to, jobs), to);
            let is_left = |pod: &&Arc<CachedPod>| deleted.iter().all(|one| one.pod.name != pod.pod.name);
            let most = deleted.iter().filter(|pod| pod.pod.is_ready()).map(|pod| jobs(pod)).max();
            let least = pods.iter().filter(is_left).filter(|pod| pod.pod.is_ready()).map(|pod| jobs(pod)).min();
            prop_assert!(most.zip(least).is_none_or(|(most, least)| most <= least), "{most:?} {least:?}");
        }
    }
}
