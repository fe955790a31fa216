//! Server-side apply of children: created, kept as rendered, and deleted when they are no longer in the spec. I/O out.

use super::{
    edit,
    record::{Drift, Records},
    writer::{WriteError, Writer},
};
use crate::{
    kinds::{Kind, OfKind},
    labels::{self, MANAGER, SCALER},
    observe::cluster::{cached::CachedChild, labelled::Labelled, owner::Controlled},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    core::DynamicObject,
};
use scalableapp_crds::ScalableApp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// A cached child.
pub trait Child: Labelled + OfKind + Clone + Debug + DeserializeOwned {
    /// A hash of the fields that only an edit changes.
    fn fingerprint(&self) -> u64;
}

impl<P: Clone + Debug + Default + DeserializeOwned> Child for CachedChild<P> {
    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

/// The result for one child.
#[derive(Debug)]
pub enum Ensured<K> {
    /// No write was needed.
    Kept,
    /// It was written, because it was missing or its content has changed.
    Written(K),
    /// An edit was reverted: the child, and what is known of the edit.
    Reverted(K, Option<String>),
}

/// The owner of the children.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Namespace of the app and of its children.
    pub namespace: &'a str,
    /// Name of the app.
    pub name: &'a str,
    /// `metadata.uid` of the app.
    pub uid: &'a str,
    /// When the app was created.
    pub created: Option<Timestamp>,
}

/// Whether a cached child needs no write.
#[must_use]
pub fn is_kept<K: Child>(
    records: &Records,
    owner: Owner<'_>,
    kind: Kind,
    cached: &K,
    desired: &Value,
) -> bool {
    cached.controller_owner() == Some(owner.uid)
        && records.drift(kind, name_of(desired), desired, cached) == Drift::None
}

/// Applies one child. `cached` is its cached state. A new workload starts with `replicas`, where they are known.
///
/// # Errors
/// [`WriteError::NameTaken`] when the object belongs to somebody else; otherwise as [`Writer::send`].
pub async fn ensure<K: Child>(
    writer: &Writer,
    records: &mut Records,
    owner: Owner<'_>,
    kind: Kind,
    cached: Option<&K>,
    desired: &Value,
    replicas: Option<i32>,
) -> Result<Ensured<K>, WriteError> {
    let name = name_of(desired);
    let api: Api<K> = Api::namespaced_with(writer.client(), owner.namespace, &kind);
    let found;
    let existing = match cached {
        Some(object) => Some(object),
        None => {
            found = writer.send(kind.name(), api.get_opt(name)).await?;
            found.as_ref()
        }
    };
    let Some(existing) = existing else {
        if let Some(replicas) = replicas {
            writer.send(kind.name(), create(&api, kind, desired, replicas)).await?;
        }
        let created = writer.send(kind.name(), apply(&api, name, desired)).await?;
        records.applied(kind, name, desired, None, &created);
        return Ok(Ensured::Written(created));
    };
    let is_disowned = is_disowned(existing, owner, desired);
    if existing.controller_owner() != Some(owner.uid) && !is_disowned {
        let (name, whose) = (name.to_owned(), whose(existing, owner, desired));
        return Err(WriteError::NameTaken { kind: kind.name(), name, whose });
    }
    if let Some(why) = existing.unreadable() {
        let message = format!("{} {name} cannot be read: {why}", kind.name());
        return Err(WriteError::Refused { kind: kind.name(), message });
    }
    let drift = match records.drift(kind, name, desired, existing) {
        Drift::Changed if is_disowned => Drift::Foreign,
        drift => drift,
    };
    if is_disowned && drift == Drift::Foreign && !is_living(writer, owner).await? {
        return Ok(Ensured::Kept);
    }
    let before = existing.resource_version();
    match drift {
        Drift::None => Ok(Ensured::Kept),
        Drift::Changed => {
            let result = writer.send(kind.name(), apply_or_replace(&api, kind, name, desired)).await?;
            records.applied(kind, name, desired, before, &result);
            Ok(Ensured::Written(result))
        }
        Drift::Foreign => {
            let (result, edit) = writer.send(kind.name(), replace(&api, kind, name, desired)).await?;
            records.applied(kind, name, desired, before, &result);
            Ok(Ensured::Reverted(result, edit))
        }
    }
}

/// Whether a child of this app lost its owner by an edit. Children that `kubectl delete --cascade=orphan` left lost it,
/// too, but are older than the app.
fn is_disowned<K: Child>(existing: &K, owner: Owner<'_>, desired: &Value) -> bool {
    let created = existing.meta().creation_timestamp.as_ref().map(|time| time.0);
    has_labels_of(existing, desired) && created.zip(owner.created).is_some_and(|(child, app)| child >= app)
}

/// Whether the API server still has the app and is not deleting it, whatever the cache shows: `--cascade=orphan`
/// removes the owner from the children before the app is gone.
async fn is_living(writer: &Writer, owner: Owner<'_>) -> Result<bool, WriteError> {
    let apps: Api<ScalableApp> = Api::namespaced(writer.client(), owner.namespace);
    let named = ListParams::default().fields(&format!("metadata.name={}", owner.name));
    let found = writer.send("ScalableApp", apps.list_metadata(&named)).await?;
    let is_it = |metadata: &ObjectMeta| {
        metadata.uid.as_deref() == Some(owner.uid) && metadata.deletion_timestamp.is_none()
    };
    Ok(found.items.iter().any(|app| is_it(&app.metadata)))
}

fn has_labels_of<K: Child>(existing: &K, desired: &Value) -> bool {
    let app = desired["metadata"]["labels"][labels::APP].as_str();
    existing.controller_owner().is_none() && app.is_some() && existing.app() == app
}

/// The owner of a child that is not ours, and what to do about it.
fn whose<K: Child>(existing: &K, owner: Owner<'_>, desired: &Value) -> String {
    let Owner { namespace, uid, .. } = owner;
    if let Some(controller) = existing.meta().owner_references.iter().flatten().next() {
        let OwnerReference { kind, name, .. } = controller;
        return format!("belongs to {kind} {name}; rename the app or the component");
    }
    if !has_labels_of(existing, desired) {
        return "does not belong to this ScalableApp; delete it, or rename the app or the component"
            .to_owned();
    }
    let app = existing.app().unwrap_or_default();
    let selector = format!("{}={app}", labels::APP);
    format!(
        "is left from an earlier ScalableApp of this name. Delete all that is left: kubectl delete deployment,statefulset,\
         service,configmap,serviceaccount,networkpolicy,poddisruptionbudget -n {namespace} -l {selector}. Or keep it: name this ScalableApp, \
         uid {uid}, as its controller in metadata.ownerReferences"
    )
}

/// Creates a workload with these replicas, which belong to the scaler: an apply without them would let the API server
/// start a pod.
async fn create<K: Child>(api: &Api<K>, kind: Kind, desired: &Value, replicas: i32) -> kube::Result<()> {
    let mut body = desired.clone();
    body["spec"]["replicas"] = replicas.into();
    let params = PostParams { field_manager: Some(SCALER.to_owned()), ..PostParams::default() };
    let object: DynamicObject = serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
    whole(api, kind).create(&params, &object).await.map(drop)
}

/// The same objects with all of their fields, which the caches do not keep.
fn whole<K: Child>(api: &Api<K>, kind: Kind) -> Api<DynamicObject> {
    let namespace = api.namespace().unwrap_or_default();
    Api::namespaced_with(api.clone().into_client(), namespace, &ApiResource::erase::<K>(&kind))
}

async fn apply<K: Child>(api: &Api<K>, name: &str, desired: &Value) -> kube::Result<K> {
    api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(desired)).await
}

/// Fields that others wrote may contradict the rendered ones: a second port with the same name, a `minAvailable` beside
/// `maxUnavailable`. Then they have to be removed.
async fn apply_or_replace<K: Child>(
    api: &Api<K>,
    kind: Kind,
    name: &str,
    desired: &Value,
) -> kube::Result<K> {
    match apply(api, name, desired).await {
        Err(kube::Error::Api(status)) if status.is_invalid() => {
            Ok(replace(api, kind, name, desired).await?.0)
        }
        answer => answer,
    }
}

/// Reverts an edit. Server-side apply would keep what another manager added (a container, a label), so the rendered
/// `spec` replaces the whole one. Replicas stay as they are, because they belong to the scaler, and so do annotations.
/// Returns what is known of the edit, too.
async fn replace<K: Child>(
    api: &Api<K>,
    kind: Kind,
    name: &str,
    desired: &Value,
) -> kube::Result<(K, Option<String>)> {
    let api = whole(api, kind);
    let live = api.get(name).await?;
    let mut body = desired.clone();
    for pointer in ["/spec/replicas", "/spec/clusterIP", "/spec/clusterIPs"] {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(value) = live.data.pointer(pointer)
            && let Some(object) = body.pointer_mut(parent).and_then(Value::as_object_mut)
        {
            object.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(metadata) = body.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), live.resource_version().into());
        metadata.insert("annotations".to_owned(), json!(live.metadata.annotations));
    }
    let object: DynamicObject = serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let replaced = api.replace(name, &params, &object).await?;
    let edit = edit::latest(live.metadata.managed_fields.as_deref().unwrap_or_default());
    let replaced = serde_json::to_value(replaced).and_then(serde_json::from_value);
    Ok((replaced.map_err(kube::Error::SerdeError)?, edit))
}

/// Deletes one child, if it is still the object that was read.
///
/// # Errors
/// As [`Writer::send`]; an object that does not exist is no error.
pub async fn delete<K: Child>(writer: &Writer, kind: Kind, child: &K) -> Result<(), WriteError> {
    let namespace = child.meta().namespace.as_deref().unwrap_or_default();
    let api: Api<K> = Api::namespaced_with(writer.client(), namespace, &kind);
    let params = DeleteParams::background()
        .preconditions(Preconditions { uid: child.uid(), resource_version: child.resource_version() });
    let request = async {
        match api.delete(&child.name_any(), &params).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            answer => answer.map(|_| ()),
        }
    };
    writer.send(kind.name(), request).await
}

/// Name of a rendered child.
#[must_use]
pub fn name_of(desired: &Value) -> &str {
    desired.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}
