//! The revisions of a component and their problems, from its workloads and pods. Pure.

use super::{
    cached::{CachedWorkload, GAVE_UP, REFUSED},
    caches::Observed,
    owner::Controlled,
    pods::CachedPod,
    shortages::PodRefusal,
};
use crate::{kinds::Kind, resolve::app::Component};
use jiff::Timestamp;
use scalableapp_engine::reason::{self, Reason};
use std::sync::Arc;

/// One live revision of a component.
#[derive(Clone, Debug)]
pub struct LiveRevision {
    /// Hash of the user's pod inputs.
    pub hash: String,
    /// Kind of its workload.
    pub kind: Kind,
    /// Its cached workload.
    pub workload: Arc<CachedWorkload>,
    /// `spec.replicas`.
    pub replicas: i32,
    /// Existing pods.
    pub pods: i32,
    /// Ready pods.
    pub ready: i32,
    /// Why a StatefulSet lacks pods; `None` if it has them, or for no longer than their creation takes.
    pub refusal: Option<PodRefusal>,
}

/// The problem of a component's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Reason, as one word.
    pub reason: Reason,
    /// Reason, as a sentence that says what to do.
    pub message: String,
}

impl LiveRevision {
    /// The revision of a workload.
    #[must_use]
    pub fn of(kind: Kind, workload: Arc<CachedWorkload>, hash: &str) -> Self {
        Self {
            hash: hash.to_owned(),
            kind,
            replicas: workload.part.spec.replicas.unwrap_or(1),
            pods: workload.part.status.replicas,
            ready: workload.part.status.ready_replicas,
            refusal: None,
            workload,
        }
    }

    /// Whether the API server refuses pods. A StatefulSet has no condition that says so, as a Deployment has.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refusal.is_some() || failure_of_replicas(self).is_some()
    }
}

/// The live revisions of a component, by name of their workloads. Those of an earlier app of the same name are
/// excluded, and so are copies, whatever their labels; `uid` is that of this app.
///
/// A StatefulSet has one revision, the declared one: its pods are replaced in place.
#[must_use]
pub fn revisions(observed: &Observed, uid: &str, component: &Component) -> Vec<LiveRevision> {
    if let Some(cluster) = &component.cluster {
        let named = observed.clusters.get(cluster);
        return named.and_then(|named| named.revision(component.revision.as_str())).into_iter().collect();
    }
    let kind = component.workload_kind();
    observed
        .workloads_of(kind, component.name.as_str())
        .filter(|workload| workload.metadata.deletion_timestamp.is_none())
        .filter(|workload| workload.controller_owner() == Some(uid))
        .filter(|workload| workload.labels.workload(kind) == workload.metadata.name)
        .filter_map(|workload| {
            let hash = match kind {
                Kind::StatefulSet => component.revision.as_str(),
                _ => workload.labels.revision.as_deref()?,
            };
            let refusal = workload.metadata.name.as_ref().and_then(|name| observed.refusals.get(name));
            let refusal = refusal.filter(|_| kind == Kind::StatefulSet).cloned();
            Some(LiveRevision { refusal, ..LiveRevision::of(kind, Arc::clone(workload), hash) })
        })
        .collect()
}

/// The first problem that keeps the pods of some revisions from being ready, if any: refusals of the API server before
/// reports of scheduler and kubelet.
#[must_use]
pub fn problem<'a>(
    revisions: &[&LiveRevision],
    pods: impl IntoIterator<Item = &'a Arc<CachedPod>>,
    now: Timestamp,
) -> Option<Problem> {
    // A StatefulSet replaces its pods in place: those that wait for that are its own, too.
    let is_of = |pod: &CachedPod| {
        revisions.iter().any(|revision| {
            revision.kind == Kind::StatefulSet
                || pod.labels.revision.as_deref() == Some(revision.hash.as_str())
        })
    };
    let mut pods = pods.into_iter().filter(|pod| is_of(pod));
    let told = || pods.find_map(|pod| pod.trouble.as_ref()?.at(now).cloned());
    revisions.iter().find_map(|revision| refused_pods(revision)).or_else(told)
}

/// The refusal of pods by the API server in words, once these are known.
fn refused_pods(revision: &LiveRevision) -> Option<Problem> {
    let words = match &revision.refusal {
        Some(PodRefusal::Unasked) => return None,
        Some(PodRefusal::Told(words)) => words,
        Some(PodRefusal::Untold) => {
            let message = format!(
                "{} of {} pods are not created, and no event of the StatefulSet says why",
                revision.replicas - revision.pods,
                revision.replicas
            );
            return Some(Problem { reason: reason::PODS_REFUSED, message });
        }
        None => failure_of_replicas(revision)?,
    };
    let message = format!("the API server refuses pods of revision {}: {words}", revision.hash);
    Some(Problem { reason: reason::PODS_REFUSED, message })
}

/// The words of a Deployment's condition for refused pods, if it has that.
fn failure_of_replicas(revision: &LiveRevision) -> Option<&str> {
    let conditions = &revision.workload.part.status.conditions;
    let failure = conditions.iter().find(|one| one.type_ == REFUSED && one.status == "True")?;
    let words = failure.message.as_deref().unwrap_or("no reason was given");
    // `pods "shop-web-1a2b-x7k2p" is forbidden: …`: each attempt has another name, but a message must stay the same.
    Some(words.split_once("is forbidden: ").map_or(words, |(_, rest)| rest))
}

/// Whether the workload exceeded its progress deadline.
#[must_use]
pub fn deadline_exceeded(workload: &CachedWorkload) -> bool {
    let conditions = &workload.part.status.conditions;
    conditions.iter().any(|one| one.type_ == "Progressing" && one.reason.as_deref() == Some(GAVE_UP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_statefulset_that_lacks_pods_is_told_in_the_words_of_its_events() {
        let told = |replicas: i32, refusal: Option<PodRefusal>| {
            let revision = LiveRevision {
                replicas,
                pods: 3,
                refusal,
                ..LiveRevision::of(Kind::StatefulSet, Arc::default(), "new")
            };
            refused_pods(&revision).map(|problem| (problem.reason.name, problem.message))
        };
        let quota = || Some(PodRefusal::Told("exceeded quota: small".into()));
        let words = "the API server refuses pods of revision new: exceeded quota: small";
        assert_eq!(told(4, quota()), Some(("PodsRefused", words.to_owned())));
        let words = "1 of 4 pods are not created, and no event of the StatefulSet says why";
        assert_eq!(told(4, Some(PodRefusal::Untold)), Some(("PodsRefused", words.to_owned())));
        assert_eq!(
            [told(4, None), told(4, Some(PodRefusal::Unasked))],
            [None, None],
            "the words will follow"
        );
    }

    #[test]
    fn trouble_is_told_of_the_revision_that_has_it() {
        let pod = |name: &str, revision: &str| {
            let state = json!({"waiting": {"reason": "ImagePullBackOff"}});
            let status = json!({"name": "web", "image": "web:1", "imageID": "", "ready": false, "restartCount": 0, "state": state});
            let pod = serde_json::from_value(json!({
                "metadata": {
                    "name": name,
                    "labels": {"scalableapp.dev/app": "shop", "scalableapp.dev/component": "web",
                        "scalableapp.dev/revision": revision, "pod-template-hash": "1"},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                        "name": format!("shop-web-{revision}-1"), "uid": "1", "controller": true}],
                },
                "status": {"phase": "Pending", "containerStatuses": [status]},
            }));
            Arc::new(pod.expect("a pod"))
        };
        let pods = [pod("web-a", "old"), pod("web-b", "older")];
        let told_of = |kind: Kind, revision: &str| {
            let revision = LiveRevision::of(kind, Arc::default(), revision);
            problem(&[&revision], &pods, Timestamp::UNIX_EPOCH).map(|problem| problem.message)
        };
        let told = |revision: &str| told_of(Kind::Deployment, revision);
        assert_eq!(told("new"), None);
        assert!(told_of(Kind::StatefulSet, "new").is_some_and(|message| message.starts_with("pod web-a")));
        assert!(
            told("older")
                .is_some_and(|message| message.starts_with("pod web-b of revision older: image web:1"))
        );
    }
}
