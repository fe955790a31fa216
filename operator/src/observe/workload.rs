//! What a component's Deployments and pods say: its revisions, its pods as the arithmetic reads them, and what is
//! wrong with them. Pure.

use super::cluster::{HasLabels, Observed};
use crate::build::labels;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Container, Pod, ResourceRequirements},
};
use scalableapp_crds::Quantity;
use scalableapp_engine::{
    pod::{self, ByResource, Phase, PodSample, Ready, ReadyStatus},
    reason::{self, Reason},
};
use std::sync::Arc;

/// One live revision of a component.
#[derive(Clone)]
pub struct LiveRevision {
    /// Hash of the user's pod inputs.
    pub hash: String,
    /// Its Deployment as the cache shows it.
    pub deployment: Arc<Deployment>,
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
    pub fn of(deployment: Arc<Deployment>, hash: &str) -> Self {
        let status = deployment.status.as_ref();
        Self {
            hash: hash.to_owned(),
            replicas: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            pods: status.and_then(|status| status.replicas).unwrap_or(0),
            ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
            deployment,
        }
    }
}

/// The live revisions of a component, by name of their Deployments.
#[must_use]
pub fn revisions(observed: &Observed, component: &str) -> Vec<LiveRevision> {
    observed
        .deployments_of(component)
        .filter(|deployment| deployment.metadata.deletion_timestamp.is_none())
        .filter_map(|deployment| {
            let hash = deployment.label(labels::REVISION)?;
            Some(LiveRevision::of(Arc::clone(deployment), hash))
        })
        .collect()
}

/// A pod as the arithmetic reads it.
#[must_use]
pub fn engine_pod(pod: &Pod, usage: ByResource<Option<PodSample>>) -> pod::Pod {
    let status = pod.status.as_ref();
    let spec = pod.spec.as_ref();
    let sidecars = spec
        .and_then(|spec| spec.init_containers.as_deref())
        .unwrap_or_default()
        .iter()
        .filter(|container| container.restart_policy.as_deref() == Some("Always"));
    pod::Pod {
        name: pod.metadata.name.clone().unwrap_or_default(),
        phase: phase(status.and_then(|status| status.phase.as_deref())),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        ready: ready(pod),
        start: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0),
        containers: spec
            .map(|spec| spec.containers.as_slice())
            .unwrap_or_default()
            .iter()
            .chain(sidecars)
            .map(container)
            .collect(),
        requests: requests(spec.and_then(|spec| spec.resources.as_ref())),
        usage,
    }
}

fn phase(phase: Option<&str>) -> Phase {
    match phase {
        Some("Running") => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some("Unknown") => Phase::Unknown,
        _ => Phase::Pending,
    }
}

fn ready(pod: &Pod) -> Option<Ready> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    let status = match condition.status.as_str() {
        "True" => ReadyStatus::True,
        "False" => ReadyStatus::False,
        _ => ReadyStatus::Unknown,
    };
    Some(Ready { status, since: condition.last_transition_time.as_ref()?.0 })
}

fn container(container: &Container) -> pod::Container {
    pod::Container { name: container.name.clone(), requests: requests(container.resources.as_ref()) }
}

fn requests(resources: Option<&ResourceRequirements>) -> ByResource<Option<i64>> {
    let of = |name: &str| Quantity(resources?.requests.as_ref()?.get(name)?.0.clone()).milli().ok();
    ByResource { cpu: of("cpu"), memory: of("memory") }
}

/// The first thing that keeps a component's pods from running, if any: what the API server refuses before what the
/// kubelet reports.
#[must_use]
pub fn problem(revisions: &[LiveRevision], pods: &[Arc<Pod>]) -> Option<Problem> {
    revisions.iter().find_map(refused_pods).or_else(|| pods.iter().find_map(|pod| broken_pod(pod)))
}

fn refused_pods(revision: &LiveRevision) -> Option<Problem> {
    let conditions = revision.deployment.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions
        .iter()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    let words = failure.message.as_deref().unwrap_or("no reason was given");
    // `pods "shop-web-1a2b-x7k2p" is forbidden: …`: each attempt has another name, and a message must stay the same.
    let words = words.split_once("is forbidden: ").map_or(words, |(_, rest)| rest);
    Some(Problem { reason: reason::PODS_REFUSED, message: format!("the API server refuses pods: {words}") })
}

/// Sentences name no pod and no back-off, so that they stay the same from one attempt to the next.
fn broken_pod(pod: &Pod) -> Option<Problem> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find_map(|status| {
        let (container, image) = (&status.name, &status.image);
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        match waiting.and_then(|waiting| waiting.reason.as_deref()) {
            Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull") => Some(Problem {
                reason: reason::IMAGE_PULL_FAILED,
                message: format!(
                    "image {image} of container {container} cannot be pulled: check its name and tag, and the pull secret"
                ),
            }),
            Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => Some(Problem {
                reason: reason::CONTAINER_NOT_CREATED,
                message: format!(
                    "container {container} cannot be created: {}",
                    waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or("the kubelet gives no details")
                ),
            }),
            _ if status.restart_count > 0 && !status.ready => Some(Problem {
                reason: reason::CONTAINER_CRASHES,
                message: format!("container {container} keeps ending: read its log with kubectl logs --previous"),
            }),
            _ => None,
        }
    })
}

/// Whether the Deployment gave up waiting for its pods.
#[must_use]
pub fn deadline_exceeded(deployment: &Deployment) -> bool {
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_deref());
    conditions.unwrap_or_default().iter().any(|condition| {
        condition.type_ == "Progressing" && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    })
}
