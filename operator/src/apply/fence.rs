//! The leader's epoch on every Deployment, so that a write of an earlier leader in flight is a conflict. I/O out.
//!
//! A process that was stopped between its check of the Lease and its write resumes with an old `resourceVersion`. Once
//! the new leader has written its epoch there, that write is a conflict.

use super::writer::{WriteError, Writer};
use crate::{
    kinds::Kind,
    labels::{EPOCH, FENCE},
    observe::cluster::cached::CachedDeployment,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Whether the cached Deployment has the leader's epoch. Its replicas are not written before.
#[must_use]
pub fn is_fenced(deployment: &CachedDeployment, epoch: i32) -> bool {
    deployment.labels.epoch.as_deref().is_some_and(|known| *known == *epoch.to_string())
}

/// Writes the leader's epoch to the Deployment of an earlier revision. The apply of the declared one includes it.
///
/// # Errors
/// As [`Writer::send`].
pub async fn fence(writer: &Writer, deployment: &CachedDeployment, epoch: i32) -> Result<(), WriteError> {
    let name = deployment.name_any();
    let api: Api<CachedDeployment> = Api::namespaced_with(
        writer.client(),
        deployment.metadata.namespace.as_deref().unwrap_or_default(),
        &Kind::Deployment,
    );
    let body = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "uid": deployment.metadata.uid,
            "labels": {EPOCH: epoch.to_string()},
        },
    });
    let params = PatchParams::apply(FENCE).force();
    writer.send(Kind::Deployment.name(), api.patch(&name, &params, &Patch::Apply(&body))).await?;
    Ok(())
}
