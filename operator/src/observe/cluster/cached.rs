//! A cached child: its metadata, the fields that are read, and a fingerprint of all others. Pure.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DynamicResourceScope;
use scalableapp_crds::{Guarded, Quantity, Unreadable};
use serde::de::{DeserializeOwned, Error, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::labelled::{Labelled, OwnLabels};
use crate::kinds::Kind;
use crate::labels::{EPOCH, MANAGER, SCALER};

/// A child with only `P` of its content. The content of thousands of children would be most of the memory, and it is
/// only compared.
#[derive(Clone, Debug, Default)]
pub struct CachedChild<P = IgnoredAny> {
    /// Its metadata, without labels and annotations.
    pub metadata: ObjectMeta,
    /// Its labels.
    pub labels: OwnLabels,
    /// The fields that are read.
    pub part: P,
    /// A hash of the fields that only an edit changes, for comparisons within this process.
    pub fingerprint: u64,
    /// Why it is unreadable, if it is.
    pub unreadable: Option<Box<str>>,
}

/// A cached Deployment or StatefulSet.
pub type CachedWorkload = CachedChild<WorkloadPart>;

/// The fields of a workload that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct WorkloadPart {
    /// The spec.
    pub spec: WorkloadSpecPart,
    /// The status.
    pub status: WorkloadStatusPart,
    /// The field manager of its replicas, unless that is this operator.
    #[serde(rename = "metadata", deserialize_with = "other_scaler")]
    pub scaled_by: Option<Box<str>>,
}

/// The fields of a workload's spec that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct WorkloadSpecPart {
    /// Desired pods; `None` means one.
    pub replicas: Option<i32>,
    /// Memory limit of the component's own container in bytes, if it has one.
    #[serde(rename = "template", deserialize_with = "memory_limit")]
    pub memory: Option<i64>,
}

/// The fields of a workload's status that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadStatusPart {
    /// The generation that its controller has seen last.
    pub observed_generation: Option<i64>,
    /// Existing pods.
    pub replicas: i32,
    /// Ready pods.
    pub ready_replicas: i32,
    /// The conditions that report problems.
    #[serde(deserialize_with = "troubles")]
    pub conditions: Vec<WorkloadCondition>,
}

/// The fields of a workload's condition that are read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct WorkloadCondition {
    /// Type of the condition.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Reason, as one word.
    pub reason: Option<String>,
    /// Reason, as a sentence.
    pub message: Option<String>,
}

/// The reason of a Deployment that exceeded its progress deadline.
pub const GAVE_UP: &str = "ProgressDeadlineExceeded";
/// The condition of a Deployment whose pods are refused.
pub const REFUSED: &str = "ReplicaFailure";

/// The manager of the replicas, if it is not the operator.
pub(super) fn other_scaler<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<str>>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Metadata {
        managed_fields: Vec<Managed>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Managed {
        manager: Box<str>,
        fields_v1: Fields,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Fields {
        #[serde(rename = "f:spec")]
        spec: SpecFields,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct SpecFields {
        #[serde(rename = "f:replicas")]
        replicas: Option<IgnoredAny>,
    }
    let Metadata { managed_fields } = Metadata::deserialize(deserializer)?;
    let scalers = managed_fields.into_iter().filter(|one| one.fields_v1.spec.replicas.is_some());
    let scalers: Vec<Box<str>> = scalers.map(|one| one.manager).collect();
    let is_ours = scalers.iter().any(|manager| [MANAGER, SCALER].contains(&&**manager));
    Ok(scalers.into_iter().next().filter(|_| !is_ours))
}

/// The memory limit of the first container, which is the component's own. The rest of the template is not copied.
fn memory_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct TemplatePart {
        spec: TemplateSpecPart,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct TemplateSpecPart {
        containers: Vec<LimitedContainer>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct LimitedContainer {
        resources: LimitedResources,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct LimitedResources {
        limits: MemoryLimit,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct MemoryLimit {
        memory: Option<Quantity>,
    }
    let template = TemplatePart::deserialize(deserializer)?;
    let limit = template.spec.containers.into_iter().next().and_then(|one| one.resources.limits.memory);
    Ok(limit.and_then(|limit| limit.milli().ok()).map(|milli| milli / 1000))
}

fn troubles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<WorkloadCondition>, D::Error> {
    let mut conditions = Vec::<WorkloadCondition>::deserialize(deserializer)?;
    conditions.retain(|condition| condition.type_ == REFUSED || condition.reason.as_deref() == Some(GAVE_UP));
    conditions.shrink_to_fit();
    Ok(conditions)
}

impl<P: DeserializeOwned> CachedChild<P> {
    /// Reduces an object of the API server.
    ///
    /// # Errors
    /// When the value is no such object.
    pub fn of(mut object: Value) -> serde_json::Result<Self> {
        let part = P::deserialize(&object)?;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        let mut metadata =
            object.get("metadata").map(ObjectMeta::deserialize).transpose()?.unwrap_or_default();
        (metadata.annotations, metadata.finalizers) = (None, None);
        if let Some(owners) = &mut metadata.owner_references {
            owners.retain(|owner| owner.controller == Some(true));
        }
        let labels = metadata.labels.take().as_ref().map(OwnLabels::of).unwrap_or_default();
        let fingerprint = fingerprint(&edited(object));
        Ok(Self { metadata, labels, part, fingerprint, unreadable: None })
    }
}

/// A readable object.
struct Readable<P>(CachedChild<P>);

impl<'de, P: DeserializeOwned> Deserialize<'de> for Readable<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        CachedChild::of(Value::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'de, P: DeserializeOwned + Default> Deserialize<'de> for CachedChild<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Guarded::<Readable<P>>::deserialize(deserializer)?.0 {
            Ok(Readable(seen)) => seen,
            Err(Unreadable { cause, metadata }) => Self {
                metadata,
                labels: OwnLabels::default(),
                part: P::default(),
                fingerprint: 0,
                unreadable: Some(cause.to_string().into()),
            },
        })
    }
}

impl<P> Labelled for CachedChild<P> {
    fn own_labels(&self) -> &OwnLabels {
        &self.labels
    }

    fn unreadable(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }
}

impl<P> Resource for CachedChild<P> {
    type DynamicType = Kind;
    type Scope = DynamicResourceScope;

    fn kind(kind: &Kind) -> Cow<'_, str> {
        kind.name().into()
    }

    fn group(kind: &Kind) -> Cow<'_, str> {
        kind.group().into()
    }

    fn version(kind: &Kind) -> Cow<'_, str> {
        kind.version().into()
    }

    fn plural(kind: &Kind) -> Cow<'_, str> {
        kind.plural().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The fields that only an edit changes. Excluded are the status, the replicas (which belong to the scaler), the
/// leader's epoch, annotations (which controllers use, and which no child has from us), the API server's metadata, and
/// the kind, which the objects of a list do not repeat.
fn edited(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.retain(|key, _| !matches!(key.as_str(), "apiVersion" | "kind" | "status"));
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| matches!(key.as_str(), "labels" | "ownerReferences"));
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.remove(EPOCH);
        }
        metadata.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
    }
    object
}

/// A hash for comparisons within this process.
#[must_use]
pub fn fingerprint(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(change: impl FnOnce(&mut Value)) -> CachedWorkload {
        let mut object = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "a", "namespace": "b", "uid": "1", "resourceVersion": "2", "generation": 3,
                "labels": {"scalableapp.dev/app": "shop", "scalableapp.dev/epoch": "1", "team": "x"},
                "annotations": {"deployment.kubernetes.io/revision": "1"},
                "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {"replicas": 3, "template": {"spec": {"containers": [
                {"name": "web", "image": "one", "resources": {"limits": {"memory": "64Mi"}}},
            ]}}},
            "status": {
                "replicas": 3, "readyReplicas": 2,
                "conditions": [
                    {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
                    {"type": "ReplicaFailure", "status": "True", "message": "quota"},
                    {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
                ],
            },
        });
        change(&mut object);
        serde_json::from_value(object).expect("a Deployment")
    }

    #[test]
    fn what_is_read_is_kept_and_no_more() {
        let seen = deployment(|_| {});
        let metadata = &seen.metadata;
        assert_eq!((metadata.generation, metadata.resource_version.as_deref()), (Some(3), Some("2")));
        let labels = OwnLabels { app: Some("shop".into()), epoch: Some("1".into()), ..OwnLabels::default() };
        assert_eq!(seen.labels, labels);
        assert_eq!(
            (&metadata.labels, &metadata.annotations, &metadata.managed_fields),
            (&None, &None, &None)
        );
        let WorkloadPart { spec, status, .. } = &seen.part;
        assert_eq!((spec.replicas, status.replicas, status.ready_replicas), (Some(3), 3, 2));
        assert_eq!(spec.memory, Some(64 << 20));
        let troubles: Vec<&str> = status.conditions.iter().map(|one| one.type_.as_str()).collect();
        assert_eq!(troubles, ["ReplicaFailure", "Progressing"]);
    }

    #[test]
    fn who_wrote_the_replicas_is_kept_if_it_is_somebody_else() {
        let scaled_by = |managers: &[(&str, Value)]| {
            let managed =
                |(manager, spec): &(&str, Value)| json!({"manager": manager, "fieldsV1": {"f:spec": spec}});
            let managed: Vec<Value> = managers.iter().map(managed).collect();
            let seen = deployment(|object| object["metadata"]["managedFields"] = json!(managed));
            seen.part.scaled_by.map(String::from)
        };
        let (replicas, template) = (json!({"f:replicas": {}}), json!({"f:template": {}}));
        let ours = ("scalableapp-scaler", replicas.clone());
        assert_eq!(scaled_by(&[("scalableapp", template.clone()), ours.clone()]), None);
        assert_eq!(
            scaled_by(&[("scalableapp", template), ("kubectl", replicas.clone())]),
            Some("kubectl".into())
        );
        assert_eq!(scaled_by(&[("kubectl", replicas), ours]), None, "the value is the operator's, too");
        assert_eq!(scaled_by(&[]), None);
    }

    #[test]
    fn only_an_edit_changes_the_fingerprint() {
        let before = deployment(|_| {}).fingerprint;
        let changed = |pointer: &str, value: Value| {
            deployment(|object| *object.pointer_mut(pointer).expect("a field") = value).fingerprint
        };
        for (pointer, value) in [
            ("/kind", Value::Null),
            ("/metadata/resourceVersion", json!("9")),
            ("/metadata/generation", json!(9)),
            ("/metadata/managedFields", json!([])),
            ("/metadata/labels/scalableapp.dev~1epoch", json!("9")),
            ("/metadata/annotations", json!({"cloud.google.com/neg-status": "{}"})),
            ("/spec/replicas", json!(9)),
            ("/status/replicas", json!(9)),
        ] {
            assert_eq!(changed(pointer, value), before, "{pointer}");
        }
        for (pointer, value) in
            [("/metadata/labels/team", json!("y")), ("/spec/template/spec/containers/0/image", json!("two"))]
        {
            assert_ne!(changed(pointer, value), before, "{pointer}");
        }
    }
}
