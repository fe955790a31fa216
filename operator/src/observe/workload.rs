//! What a component's Deployments and pods say: its revisions, and what is wrong with them. Pure.

use super::{
    cluster::Observed,
    owner::Controlled,
    pods::SeenPod,
    seen::{GAVE_UP, REFUSED, SeenDeployment},
};
use scalableapp_engine::reason::{self, Reason};
use std::sync::Arc;

/// One live revision of a component.
#[derive(Clone)]
pub struct LiveRevision {
    /// Hash of the user's pod inputs.
    pub hash: String,
    /// Its Deployment as the cache shows it.
    pub deployment: Arc<SeenDeployment>,
    /// `spec.replicas`.
    pub replicas: i32,
    /// Pods that exist.
    pub pods: i32,
    /// Pods that are ready.
    pub ready: i32,
}

/// What is wrong with a component's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Why, as one word.
    pub reason: Reason,
    /// Why, as a sentence that says what to do.
    pub message: String,
}

impl LiveRevision {
    /// The revision that a Deployment runs.
    #[must_use]
    pub fn of(deployment: Arc<SeenDeployment>, hash: &str) -> Self {
        Self {
            hash: hash.to_owned(),
            replicas: deployment.part.spec.replicas.unwrap_or(1),
            pods: deployment.part.status.replicas,
            ready: deployment.part.status.ready_replicas,
            deployment,
        }
    }
}

/// The live revisions of a component, by name of their Deployments. What an app of the same name has left behind is none
/// of them, whatever its labels; `uid` is that of this app.
#[must_use]
pub fn revisions(observed: &Observed, uid: &str, component: &str) -> Vec<LiveRevision> {
    observed
        .deployments_of(component)
        .filter(|deployment| deployment.metadata.deletion_timestamp.is_none())
        .filter(|deployment| deployment.controller_owner() == Some(uid))
        .filter_map(|deployment| {
            let hash = deployment.labels.revision.as_deref()?;
            Some(LiveRevision::of(Arc::clone(deployment), hash))
        })
        .collect()
}

/// The first thing that keeps a component's pods from running, if any: what the API server refuses before what the
/// kubelet reports.
#[must_use]
pub fn problem<'a>(
    revisions: &[LiveRevision],
    pods: impl IntoIterator<Item = &'a Arc<SeenPod>>,
) -> Option<Problem> {
    revisions.iter().find_map(refused_pods).or_else(|| pods.into_iter().find_map(|pod| pod.problem.clone()))
}

fn refused_pods(revision: &LiveRevision) -> Option<Problem> {
    let conditions = &revision.deployment.part.status.conditions;
    let failure = conditions.iter().find(|one| one.type_ == REFUSED && one.status == "True")?;
    let words = failure.message.as_deref().unwrap_or("no reason was given");
    // `pods "shop-web-1a2b-x7k2p" is forbidden: …`: each attempt has another name, and a message must stay the same.
    let words = words.split_once("is forbidden: ").map_or(words, |(_, rest)| rest);
    Some(Problem { reason: reason::PODS_REFUSED, message: format!("the API server refuses pods: {words}") })
}

/// Whether the Deployment gave up waiting for its pods.
#[must_use]
pub fn deadline_exceeded(deployment: &SeenDeployment) -> bool {
    let conditions = &deployment.part.status.conditions;
    conditions.iter().any(|one| one.type_ == "Progressing" && one.reason.as_deref() == Some(GAVE_UP))
}
