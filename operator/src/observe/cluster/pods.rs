//! A cached pod: the fields of the scaling arithmetic, and its problem. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{self, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource;
use scalableapp_crds::{Guarded, Quantity, Unreadable};
use scalableapp_engine::hpa::pod::{ByResource, Container, Phase, Pod, Ready, ReadyStatus};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::labelled::{Labelled, OwnLabels};
use super::trouble::Trouble;
use crate::kinds::Kind;
use crate::labels::DELETION_COST;

/// A pod, by far the most frequent object, reduced as soon as it is read.
#[derive(Resource, Clone, Debug)]
#[resource(inherit = "v1::Pod")]
pub struct CachedPod {
    /// Its identifying metadata, without labels.
    pub metadata: ObjectMeta,
    /// Its labels; none for a pod that is no capacity of a component, so it belongs to no app.
    pub labels: OwnLabels,
    /// The pod for the scaling arithmetic, without its usage.
    pub pod: Pod,
    /// What its deletion costs, in the words of Kubernetes; 0 without the annotation.
    pub deletion_cost: i32,
    /// Memory of its first container, for a pod of a StatefulSet.
    pub memory: Option<Box<PodMemory>>,
    /// Its problem, if it is not ready. Boxed, because it is rare.
    pub trouble: Option<Box<Trouble>>,
    /// Why it is unreadable, if it is.
    pub unreadable: Option<Box<str>>,
}

/// Memory of the first container of a pod, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodMemory {
    /// The limit in its spec.
    pub asked: i64,
    /// The limit that the kubelet gives it; `None` if it does not say.
    pub given: Option<i64>,
    /// Why the kubelet does not give more, in its words.
    pub refused: Option<Box<str>>,
}

impl PodMemory {
    fn of(pod: &v1::Pod) -> Option<Self> {
        let mut owners = pod.metadata.owner_references.iter().flatten();
        owners.find(|owner| owner.controller == Some(true) && owner.kind == "StatefulSet")?;
        let container = pod.spec.as_ref()?.containers.first()?;
        let status = pod.status.as_ref();
        let mut statuses =
            status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default().iter();
        let running = statuses.find(|one| one.name == container.name);
        let mut conditions =
            status.and_then(|status| status.conditions.as_deref()).unwrap_or_default().iter();
        let pending = conditions.find(|one| one.type_ == "PodResizePending" && one.status == "True");
        Some(Self {
            asked: memory_limit(container.resources.as_ref())?,
            given: running.and_then(|one| memory_limit(one.resources.as_ref())),
            refused: pending
                .map(|one| one.message.as_deref().unwrap_or("the kubelet gives no reason").into()),
        })
    }
}

fn memory_limit(resources: Option<&ResourceRequirements>) -> Option<i64> {
    let limit = resources?.limits.as_ref()?.get("memory")?;
    Some(Quantity(limit.0.clone()).milli().ok()? / 1000)
}

/// The fields of a pod that are read. The size of the others is up to its author.
#[derive(Deserialize)]
struct PodPart {
    #[serde(default)]
    metadata: MetadataPart,
    #[serde(default)]
    spec: SpecPart,
    status: Option<v1::PodStatus>,
}

/// The fields of a pod's metadata that are read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MetadataPart {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<IgnoredAny>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<AnnotationsPart>,
    owner_references: Option<Vec<OwnerReference>>,
}

/// The annotation of a pod that is read.
#[derive(Deserialize)]
struct AnnotationsPart {
    #[serde(rename = "controller.kubernetes.io/pod-deletion-cost")]
    deletion_cost: Option<String>,
}

impl AnnotationsPart {
    /// The annotation alone.
    fn into_annotations(self) -> Option<BTreeMap<String, String>> {
        self.deletion_cost.map(|cost| BTreeMap::from([(DELETION_COST.to_owned(), cost)]))
    }
}

/// The fields of a pod's spec that are read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SpecPart {
    containers: Option<Vec<v1::Container>>,
    init_containers: Option<Vec<v1::Container>>,
    resources: Option<ResourceRequirements>,
    /// The first ones: a volume takes kilobytes in memory, and they are read for one sentence only.
    #[serde(deserialize_with = "first")]
    volumes: Vec<v1::Volume>,
}

/// The most items of a list that [`first`] keeps.
const FIRST: usize = 32;

/// The first items of a list.
fn first<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct FirstItems<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstItems<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut kept = Vec::new();
            while kept.len() < FIRST
                && let Some(item) = items.next_element()?
            {
                kept.push(item);
            }
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }
    }
    deserializer.deserialize_any(FirstItems(PhantomData))
}

impl From<PodPart> for v1::Pod {
    fn from(part: PodPart) -> Self {
        let PodPart { metadata, spec, status } = part;
        Self {
            metadata: ObjectMeta {
                name: metadata.name,
                namespace: metadata.namespace,
                uid: metadata.uid,
                resource_version: metadata.resource_version,
                // Only the deletion itself is read.
                deletion_timestamp: metadata.deletion_timestamp.map(|_| Time(Timestamp::UNIX_EPOCH)),
                labels: metadata.labels,
                annotations: metadata.annotations.and_then(AnnotationsPart::into_annotations),
                owner_references: metadata.owner_references,
                ..ObjectMeta::default()
            },
            spec: Some(v1::PodSpec {
                containers: spec.containers.unwrap_or_default(),
                init_containers: spec.init_containers,
                resources: spec.resources,
                volumes: Some(spec.volumes),
                ..v1::PodSpec::default()
            }),
            status,
        }
    }
}

impl<'de> Deserialize<'de> for CachedPod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Guarded::<PodPart>::deserialize(deserializer)?.0 {
            Ok(part) => Self::of(&part.into()),
            Err(Unreadable { cause, metadata }) => {
                Self { metadata, unreadable: Some(cause.to_string().into()), ..Self::of(&v1::Pod::default()) }
            }
        })
    }
}

impl CachedPod {
    /// Reduces a pod.
    #[must_use]
    pub fn of(pod: &v1::Pod) -> Self {
        let v1::Pod { metadata, .. } = pod;
        let reduced = reduced(pod);
        let labels =
            if reduced.phase.has_ended() { OwnLabels::default() } else { labels_of_component(metadata) };
        Self {
            metadata: ObjectMeta {
                name: metadata.name.clone(),
                namespace: metadata.namespace.clone(),
                uid: metadata.uid.clone(),
                resource_version: metadata.resource_version.clone(),
                ..ObjectMeta::default()
            },
            labels,
            pod: reduced,
            deletion_cost: deletion_cost(metadata),
            memory: PodMemory::of(pod).map(Box::new),
            trouble: Trouble::of(pod).map(Box::new),
            unreadable: None,
        }
    }
}

impl Labelled for CachedPod {
    fn own_labels(&self) -> &OwnLabels {
        &self.labels
    }

    fn unreadable(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }
}

/// The labels of a pod of the operator's workload, but not of a copy with the same labels. The owner of a Deployment's
/// pod is a ReplicaSet, `<Deployment>-<pod-template-hash>`. The labels give the name of the workload.
fn labels_of_component(metadata: &ObjectMeta) -> OwnLabels {
    let Some(labels) = &metadata.labels else { return OwnLabels::default() };
    let own = OwnLabels::of(labels);
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true));
    let is_made =
        owner.is_some_and(|owner| Some(&owner.name) == owner_name(&owner.kind, &own, labels).as_ref());
    if is_made { own } else { OwnLabels::default() }
}

/// The name that the owner of a pod with these labels has, by its kind.
fn owner_name(kind: &str, own: &OwnLabels, labels: &BTreeMap<String, String>) -> Option<String> {
    match kind {
        "ReplicaSet" => {
            Some(format!("{}-{}", own.workload(Kind::Deployment)?, labels.get("pod-template-hash")?))
        }
        "StatefulSet" => own.workload(Kind::StatefulSet),
        _ => None,
    }
}

/// As Kubernetes reads it: what is no number costs nothing.
fn deletion_cost(metadata: &ObjectMeta) -> i32 {
    let annotation = metadata.annotations.as_ref().and_then(|all| all.get(DELETION_COST));
    annotation.and_then(|cost| cost.parse().ok()).unwrap_or_default()
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
    use serde_json::{Value, json};

    /// A pod of `shop`, with these changes.
    fn pod(change: impl FnOnce(&mut Value)) -> CachedPod {
        let mut pod = json!({
            "metadata": {
                "name": "shop-web-0123456789-7c9f8d-x7k2p", "namespace": "shop", "resourceVersion": "7",
                "annotations": {"a": "b"},
                "labels": {
                    "scalableapp.dev/app": "shop", "scalableapp.dev/component": "web",
                    "scalableapp.dev/revision": "0123456789", "pod-template-hash": "7c9f8d", "team": "x",
                },
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-web-0123456789-7c9f8d", "uid": "1",
                    "controller": true,
                }],
            },
            "spec": {
                "containers": [{"name": "web", "resources": {"requests": {"cpu": "10m", "memory": "1"}}}],
                "initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "init"}],
                "affinity": "of another shape",
            },
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            },
        });
        change(&mut pod);
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn requests_readiness_and_sidecars_are_kept_and_the_rest_is_not() {
        let pod = pod(|_| {});
        let labels = OwnLabels {
            app: Some("shop".into()),
            component: Some("web".into()),
            revision: Some("0123456789".into()),
            tier: None,
            epoch: None,
        };
        assert_eq!(pod.labels, labels);
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

    #[test]
    fn the_deletion_cost_is_kept_as_kubernetes_reads_it() {
        for (annotations, cost) in [
            (json!({"controller.kubernetes.io/pod-deletion-cost": "-1", "a": "b"}), -1),
            (json!({"controller.kubernetes.io/pod-deletion-cost": "7"}), 7),
            (json!({"controller.kubernetes.io/pod-deletion-cost": "much"}), 0),
            (json!({"a": "b"}), 0),
            (json!(null), 0),
        ] {
            assert_eq!(pod(|pod| pod["metadata"]["annotations"] = annotations).deletion_cost, cost);
        }
    }

    #[test]
    fn the_memory_of_a_shard_is_what_it_asks_for_and_what_it_is_given() {
        let shard = |change: fn(&mut Value)| {
            pod(|pod| {
                pod["metadata"]["ownerReferences"][0]["kind"] = json!("StatefulSet");
                pod["spec"]["containers"][0]["resources"]["limits"] = json!({"memory": "96Mi"});
                pod["status"]["containerStatuses"] = json!([{
                    "name": "web", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                    "resources": {"limits": {"memory": "64Mi"}},
                }]);
                change(pod);
            })
            .memory
            .map(|memory| *memory)
        };
        let expected = PodMemory { asked: 96 << 20, given: Some(64 << 20), refused: None };
        assert_eq!(shard(|_| {}), Some(expected.clone()));
        let refused = shard(|pod| {
            let condition = json!({"type": "PodResizePending", "status": "True", "reason": "Infeasible", "message": "no"});
            pod["status"]["conditions"].as_array_mut().expect("a list").push(condition);
        });
        assert_eq!(refused, Some(PodMemory { refused: Some("no".into()), ..expected }));
        let unsaid = shard(|pod| pod["status"]["containerStatuses"] = json!([]));
        assert_eq!(unsaid, Some(PodMemory { given: None, ..expected }));
        assert_eq!(pod(|_| {}).memory, None, "of a Deployment");
    }

    #[test]
    fn only_a_pod_that_a_deployment_of_the_app_made_and_that_has_not_ended_is_the_components() {
        assert_eq!(pod(|_| {}).labels.app.as_deref(), Some("shop"));
        for (pointer, value) in [
            ("/metadata/ownerReferences/0/name", json!("copy-7c9f8d")),
            ("/metadata/ownerReferences/0/name", json!("shop-web-0123456789-7c9f8d-copy")),
            ("/metadata/ownerReferences/0/kind", json!("StatefulSet")),
            ("/metadata/ownerReferences/0/controller", json!(false)),
            ("/metadata/ownerReferences", json!([])),
            ("/metadata/labels/pod-template-hash", json!("8d9f7c")),
            ("/metadata/labels/scalableapp.dev~1revision", json!("9876543210")),
            ("/metadata/labels/scalableapp.dev~1app", json!("other")),
            ("/metadata/labels", json!(null)),
            ("/status/phase", json!("Succeeded")),
            ("/status/phase", json!("Failed")),
        ] {
            let pod = pod(|pod| *pod.pointer_mut(pointer).expect("a field") = value.clone());
            assert_eq!(pod.labels, OwnLabels::default(), "{pointer}: {value}");
        }
    }
}
