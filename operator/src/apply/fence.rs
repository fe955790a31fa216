//! The leader's epoch on every workload, so that a write of an earlier leader in flight is a conflict. I/O out.
//!
//! A process that was stopped between its check of the Lease and its write resumes with an old `resourceVersion`. Once
//! the new leader has written its epoch there, that write is a conflict.

use super::writer::{WriteError, Writer};
use crate::{
    kinds::Kind,
    labels::{EPOCH, FENCE},
    observe::cluster::cached::CachedWorkload,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Whether the cached workload has the leader's epoch. Its replicas are not written before.
#[must_use]
pub fn is_fenced(workload: &CachedWorkload, epoch: i32) -> bool {
    workload.labels.epoch.as_deref().is_some_and(|known| *known == *epoch.to_string())
}

/// Writes the leader's epoch to the Deployment of an earlier revision. The apply of the declared one includes it.
///
/// # Errors
/// As [`Writer::send`].
pub async fn fence(
    writer: &Writer,
    kind: Kind,
    workload: &CachedWorkload,
    epoch: i32,
) -> Result<(), WriteError> {
    let name = workload.name_any();
    let namespace = workload.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<CachedWorkload> = Api::namespaced_with(writer.client(), namespace, &kind);
    let body = json!({
        "apiVersion": "apps/v1",
        "kind": kind.name(),
        "metadata": {
            "name": name,
            "uid": workload.metadata.uid,
            "labels": {EPOCH: epoch.to_string()},
        },
    });
    let params = PatchParams::apply(FENCE).force();
    writer.send(kind.name(), api.patch(&name, &params, &Patch::Apply(&body))).await?;
    Ok(())
}
