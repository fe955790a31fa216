//! Writes of `spec.replicas`: each carries the `uid` and `resourceVersion` that its decision read. I/O out.

use super::writer::{WriteError, Writer};
use crate::{kinds::Kind, labels::SCALER, observe::cluster::cached::CachedWorkload};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Sets the replicas of one workload, and returns the workload from the API server.
///
/// # Errors
/// [`WriteError::Conflict`] when the workload has changed since `observed` was read: observe and decide again.
pub async fn scale(
    writer: &Writer,
    kind: Kind,
    observed: &CachedWorkload,
    replicas: i32,
) -> Result<CachedWorkload, WriteError> {
    let name = observed.name_any();
    let namespace = observed.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<CachedWorkload> = Api::namespaced_with(writer.client(), namespace, &kind);
    let body = json!({
        "apiVersion": "apps/v1",
        "kind": kind.name(),
        "metadata": {
            "name": name,
            "uid": observed.metadata.uid,
            "resourceVersion": observed.metadata.resource_version,
        },
        "spec": {"replicas": replicas},
    });
    let params = PatchParams::apply(SCALER).force();
    writer.send(kind.name(), api.patch(&name, &params, &Patch::Apply(&body))).await
}
