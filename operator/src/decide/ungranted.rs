//! Which pods of a component the cluster does not grant. Pure.

use crate::{
    kinds::Kind,
    observe::cluster::{caches::Observed, workload::LiveRevision},
    resolve::app::Component,
};
use jiff::Timestamp;
use scalableapp_engine::reason::{self, Reason};
use std::collections::BTreeMap;

/// Why pods are not granted, by the hash of their revision.
pub(super) fn ungranted(
    component: &Component,
    revisions: &[LiveRevision],
    observed: &Observed,
    now: Timestamp,
) -> BTreeMap<String, Reason> {
    let of =
        |revision: &LiveRevision| Some((revision.hash.clone(), reason(component, revision, observed, now)?));
    revisions.iter().filter_map(of).collect()
}

fn reason(
    component: &Component,
    revision: &LiveRevision,
    observed: &Observed,
    now: Timestamp,
) -> Option<Reason> {
    if revision.is_refused() {
        return Some(reason::PODS_REFUSED);
    }
    let is_own =
        |hash: Option<&str>| revision.kind == Kind::StatefulSet || hash == Some(revision.hash.as_str());
    let pods = observed.pods_of(component.name.as_str()).filter(|pod| is_own(pod.labels.revision.as_deref()));
    let mut on_nodes = Vec::new();
    for reason in pods.filter_map(|pod| Some(pod.trouble.as_ref()?.at(now)?.reason)) {
        match reason {
            reason::UNSCHEDULABLE => return Some(reason),
            // A read replica is refused by its primary.
            reason::PRIMARY_HAS_NO_ROOM | reason::PRIMARY_NOT_USABLE => return Some(reason),
            reason::IMAGE_PULL_FAILED | reason::CONTAINER_NOT_CREATED => on_nodes.push(reason),
            _ => {}
        }
    }
    // One pod among ready ones may have a bad node. Others may still get a good one.
    let is_of_all = revision.ready == 0 || on_nodes.len() > 1;
    on_nodes.first().copied().filter(|_| is_of_all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observe::cluster::{cached::CachedWorkload, pods::CachedPod, shortages::PodRefusal},
        resolve::resolve,
    };
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// No change of the status.
    const AS_IS: Value = Value::Null;

    fn component(name: &str) -> Component {
        let app = json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1"},
            "spec": {
                "services": [{"name": "web", "image": "shop:1", "port": 8080}],
                "caches": [{"name": "hot", "redis": {"shards": {"min": 2, "max": 2}, "memory": "64Mi"}}],
                "databases": [{"name": "main", "postgres": {
                    "primary": {"secretRef": {"name": "shop-db"}},
                    "readReplicas": {"min": 2, "max": 2, "image": "postgres:17"},
                }}],
            },
        });
        let app = resolve(&serde_json::from_value(app).expect("an app")).expect("no problem");
        app.component(name).expect("a component").clone()
    }

    fn pod(component: &Component, index: usize, status: &Value) -> Arc<CachedPod> {
        let (name, revision) = (component.name.as_str(), component.revision.as_str());
        let (owner, owned) = match component.workload_kind() {
            Kind::StatefulSet => ("StatefulSet", format!("shop-{name}")),
            _ => ("ReplicaSet", format!("shop-{name}-{revision}-1")),
        };
        let pod = serde_json::from_value(json!({
            "metadata": {"name": format!("{owned}-{index}"), "labels": {
                "scalableapp.dev/app": "shop", "scalableapp.dev/component": name,
                "scalableapp.dev/tier": component.tier.name(), "scalableapp.dev/revision": revision, "pod-template-hash": "1",
            }, "ownerReferences": [{"apiVersion": "apps/v1", "kind": owner, "name": owned, "uid": "1", "controller": true}]},
            "status": status,
        }));
        Arc::new(pod.expect("a pod"))
    }

    fn waiting(reason: &str) -> Value {
        let state = json!({"waiting": {"reason": reason, "message": "why"}});
        json!({"phase": "Pending", "containerStatuses": [
            {"name": "it", "image": "it:1", "imageID": "", "ready": false, "restartCount": 0, "state": state},
        ]})
    }

    fn crashing(code: i32) -> Value {
        let (state, last) = (
            json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            json!({"terminated": {"exitCode": code, "reason": "Error"}}),
        );
        json!({"phase": "Running", "containerStatuses": [
            {"name": "it", "image": "it:1", "imageID": "", "ready": false, "restartCount": 3, "state": state, "lastState": last},
        ]})
    }

    fn homeless() -> Value {
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]})
    }

    /// The reason for a workload of three replicas, with these ready ones, this status and these pods.
    fn told(name: &str, ready: i32, status: &Value, pods: &[Value]) -> Option<&'static str> {
        let component = component(name);
        let mut whole = json!({"observedGeneration": 2, "replicas": 3, "readyReplicas": ready});
        if let (Some(whole), Some(status)) = (whole.as_object_mut(), status.as_object()) {
            whole.extend(status.clone());
        }
        let workload: CachedWorkload = serde_json::from_value(json!({
            "metadata": {"name": "it", "generation": 2}, "spec": {"replicas": 3}, "status": whole,
        }))
        .expect("a workload");
        let revision = LiveRevision {
            refusal: status["lacks"].as_bool().map(|_| PodRefusal::Unasked),
            ..LiveRevision::of(component.workload_kind(), Arc::new(workload), component.revision.as_str())
        };
        let pods = pods.iter().enumerate().map(|(index, status)| pod(&component, index, status)).collect();
        let observed = Observed { pods: Arc::new(pods), ..Observed::default() };
        let reasons = ungranted(&component, &[revision], &observed, Timestamp::UNIX_EPOCH);
        reasons.get(component.revision.as_str()).map(|reason| reason.name)
    }

    #[test]
    fn what_the_cluster_does_not_grant_is_read_from_workloads_and_pods() {
        let refused = json!({"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]});
        let creating = json!({"replicas": 2});
        let lacking = json!({"replicas": 2, "lacks": true});
        let image = || waiting("ImagePullBackOff");
        let cases = [
            ("all are granted", told("web", 2, &AS_IS, &[]), None),
            ("a quota", told("web", 2, &refused, &[]), Some("PodsRefused")),
            ("a Deployment creates its pods", told("web", 2, &creating, &[]), None),
            ("a StatefulSet creates its pods", told("hot", 2, &creating, &[]), None),
            ("it lacks a pod for a while", told("hot", 2, &lacking, &[]), Some("PodsRefused")),
            ("no node", told("web", 2, &AS_IS, &[homeless()]), Some("Unschedulable")),
            ("one image beside ready pods", told("web", 2, &AS_IS, &[image()]), None),
            ("two images", told("web", 1, &AS_IS, &[image(), image()]), Some("ImagePullFailed")),
            ("no pod is ready", told("web", 0, &AS_IS, &[image()]), Some("ImagePullFailed")),
            (
                "no Secret",
                told("web", 0, &AS_IS, &[waiting("CreateContainerConfigError")]),
                Some("ContainerNotCreated"),
            ),
            ("a service crashes", told("web", 0, &AS_IS, &[crashing(1)]), None),
            ("a read replica crashes", told("main", 2, &AS_IS, &[crashing(1)]), None),
            ("the primary is gone", told("main", 2, &AS_IS, &[crashing(11)]), None),
            (
                "the primary refuses a replica",
                told("main", 2, &AS_IS, &[crashing(10)]),
                Some("PrimaryNotUsable"),
            ),
            ("the primary has no room", told("main", 2, &AS_IS, &[crashing(12)]), Some("PrimaryHasNoRoom")),
        ];
        for (case, told, expected) in cases {
            assert_eq!(told, expected, "{case}");
        }
    }
}
