//! What HPA arithmetic reads of a pod: phase, readiness, requests and usage. Pure.
//!
//! All amounts are in thousandths: 1000 is one core of CPU or one byte of memory.

use crate::hpa::signal::SignalError;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// A resource that the kubelet measures for each pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// CPU, in thousandths of a core.
    Cpu,
    /// Memory working set, in thousandths of a byte.
    Memory,
}

impl Resource {
    /// The name that Kubernetes uses in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// One value for each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByResource<T> {
    /// The value for CPU.
    pub cpu: T,
    /// The value for memory.
    pub memory: T,
}

impl<T: Copy> ByResource<T> {
    /// The value for one resource.
    pub fn get(&self, resource: Resource) -> T {
        match resource {
            Resource::Cpu => self.cpu,
            Resource::Memory => self.memory,
        }
    }
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not all containers have started.
    Pending,
    /// At least one container runs.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, at least one in failure.
    Failed,
    /// The node does not answer.
    Unknown,
}

impl Phase {
    /// Whether all containers have ended for good, so the pod is no capacity. Kubernetes calls it terminal.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// Status of a pod's Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadyStatus {
    /// The pod is ready.
    True,
    /// The pod is not ready.
    False,
    /// The node does not answer.
    Unknown,
}

/// A pod's Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Whether the pod is ready.
    pub status: ReadyStatus,
    /// When that last changed.
    pub since: Timestamp,
}

/// A container's requests. Of the init containers only those with `restartPolicy: Always` (sidecars) are listed,
/// after the ordinary containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Name within the pod.
    pub name: String,
    /// Requests; nothing where the container has none.
    pub requests: ByResource<Option<i64>>,
}

/// Usage of a pod, or of the one container that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSample {
    /// Usage in thousandths.
    pub milli: i64,
    /// When it was measured.
    pub at: Timestamp,
    /// Length of time that the value is an average of.
    pub window: SignedDuration,
}

/// A pod of the component, whatever its revision. Clones share what does not change with every sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Name, for messages.
    pub name: Arc<str>,
    /// `status.phase`.
    pub phase: Phase,
    /// Whether it has a deletion timestamp.
    pub deleting: bool,
    /// Its Ready condition, if it has one yet.
    pub ready: Option<Ready>,
    /// `status.startTime`, if it has started.
    pub start: Option<Timestamp>,
    /// Its containers and sidecars.
    pub containers: Arc<[Container]>,
    /// Requests of the pod as a whole (KEP-2837); where given they count instead of the containers'.
    pub requests: ByResource<Option<i64>>,
    /// The newest sample of each resource; nothing if there is none.
    pub usage: ByResource<Option<PodSample>>,
}

impl Pod {
    /// Whether the pod serves: it runs and its Ready condition is true. A pod that is being deleted counts.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.ready.is_some_and(|ready| ready.status == ReadyStatus::True)
    }

    /// Whether it has been ready for at least `time`.
    pub fn is_ready_for(&self, time: SignedDuration, now: Timestamp) -> bool {
        self.is_ready() && self.ready.is_some_and(|ready| now.duration_since(ready.since) >= time)
    }

    /// The pod's request of a resource, or that of one named container, in thousandths.
    ///
    /// # Errors
    /// When a container that counts has no request, or no container has the name.
    pub fn request(&self, resource: Resource, container: Option<&str>) -> Result<i64, SignalError> {
        let Some(wanted) = container else {
            return match self.requests.get(resource) {
                Some(request) => Ok(request),
                None => self.containers.iter().try_fold(0_i64, |sum, container| {
                    Ok(sum.wrapping_add(self.container_request(resource, container)?))
                }),
            };
        };
        match self.containers.iter().find(|container| container.name == wanted) {
            Some(container) => self.container_request(resource, container),
            None => Err(SignalError::ContainerNotFound {
                container: wanted.to_owned(),
                pod: self.name.to_string(),
            }),
        }
    }

    fn container_request(&self, resource: Resource, container: &Container) -> Result<i64, SignalError> {
        container.requests.get(resource).ok_or_else(|| SignalError::MissingRequest {
            resource: resource.name(),
            container: container.name.clone(),
            pod: self.name.to_string(),
        })
    }
}

/// The pods that have not ended. HPA ignores those that failed; it takes those that succeeded for pods without a sample.
pub(crate) fn living(pods: &[Pod]) -> Cow<'_, [Pod]> {
    if pods.iter().any(|pod| pod.phase.has_ended()) {
        pods.iter().filter(|pod| !pod.phase.has_ended()).cloned().collect()
    } else {
        Cow::Borrowed(pods)
    }
}
