//! A pod as the caches keep it: what the scaling arithmetic reads, and what is wrong with it. Pure.

use k8s_openapi::api::core::v1::{self, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use scalableapp_crds::Quantity;
use scalableapp_engine::pod::{ByResource, Container, Phase, Pod, Ready, ReadyStatus};
use serde::{Deserialize, Deserializer};

use super::labelled::{Labelled, OwnLabels};
use super::trouble::Trouble;

/// A pod, by far the most numerous object, reduced as soon as it is read.
#[derive(Resource, Clone, Debug)]
#[resource(inherit = "v1::Pod")]
pub struct SeenPod {
    /// What names it, without labels.
    pub metadata: ObjectMeta,
    /// Its labels.
    pub labels: OwnLabels,
    /// The pod as the arithmetic reads it, without its usage.
    pub pod: Pod,
    /// What keeps it from being ready. Boxed, because it is rare.
    pub trouble: Option<Box<Trouble>>,
}

impl<'de> Deserialize<'de> for SeenPod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        v1::Pod::deserialize(deserializer).map(|pod| Self::of(&pod))
    }
}

impl SeenPod {
    /// Reduces a pod.
    #[must_use]
    pub fn of(pod: &v1::Pod) -> Self {
        let v1::Pod { metadata, .. } = pod;
        Self {
            metadata: ObjectMeta {
                name: metadata.name.clone(),
                namespace: metadata.namespace.clone(),
                uid: metadata.uid.clone(),
                resource_version: metadata.resource_version.clone(),
                ..ObjectMeta::default()
            },
            labels: metadata.labels.as_ref().map(OwnLabels::of).unwrap_or_default(),
            pod: reduced(pod),
            trouble: Trouble::of(pod).map(Box::new),
        }
    }
}

impl Labelled for SeenPod {
    fn own_labels(&self) -> &OwnLabels {
        &self.labels
    }
}

fn reduced(pod: &v1::Pod) -> Pod {
    let status = pod.status.as_ref();
    let spec = pod.spec.as_ref();
    let sidecars = spec
        .and_then(|spec| spec.init_containers.as_deref())
        .unwrap_or_default()
        .iter()
        .filter(|container| container.restart_policy.as_deref() == Some("Always"));
    Pod {
        name: pod.metadata.name.as_deref().unwrap_or_default().into(),
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
        usage: ByResource::default(),
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

fn ready(pod: &v1::Pod) -> Option<Ready> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    let status = match condition.status.as_str() {
        "True" => ReadyStatus::True,
        "False" => ReadyStatus::False,
        _ => ReadyStatus::Unknown,
    };
    Some(Ready { status, since: condition.last_transition_time.as_ref()?.0 })
}

fn container(container: &v1::Container) -> Container {
    Container { name: container.name.clone(), requests: requests(container.resources.as_ref()) }
}

fn requests(resources: Option<&ResourceRequirements>) -> ByResource<Option<i64>> {
    let of = |name: &str| Quantity(resources?.requests.as_ref()?.get(name)?.0.clone()).milli().ok();
    ByResource { cpu: of("cpu"), memory: of("memory") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_readiness_and_sidecars_are_kept_and_the_rest_is_not() {
        let pod: SeenPod = serde_json::from_value(json!({
            "metadata": {
                "name": "shop-web-1", "namespace": "shop", "resourceVersion": "7",
                "labels": {"scalableapp.dev/app": "shop", "team": "x"}, "annotations": {"a": "b"},
            },
            "spec": {
                "containers": [{"name": "web", "resources": {"requests": {"cpu": "10m", "memory": "1"}}}],
                "initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "init"}],
            },
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            },
        }))
        .expect("a pod");
        assert_eq!(pod.labels, OwnLabels { app: Some("shop".into()), ..OwnLabels::default() });
        assert_eq!((pod.metadata.labels, pod.metadata.annotations, pod.trouble), (None, None, None));
        assert_eq!(
            (pod.pod.phase, pod.pod.ready.map(|ready| ready.status)),
            (Phase::Running, Some(ReadyStatus::True))
        );
        let containers: Vec<_> =
            pod.pod.containers.iter().map(|one| (one.name.as_str(), one.requests)).collect();
        let requests = ByResource { cpu: Some(10), memory: Some(1000) };
        assert_eq!(containers, [("web", requests), ("proxy", ByResource::default())]);
    }
}
