//! Writes of `spec.replicas`: each carries the `uid` and `resourceVersion` that its decision read. I/O out.

use super::writer::{WriteError, Writer};
use crate::{kinds::Kind, labels::SCALER, observe::cluster::cached::CachedDeployment};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Sets the replicas of one Deployment, and returns the Deployment from the API server.
///
/// # Errors
/// [`WriteError::Conflict`] when the Deployment has changed since `observed` was read: observe and decide again.
pub async fn scale(
    writer: &Writer,
    observed: &CachedDeployment,
    replicas: i32,
) -> Result<CachedDeployment, WriteError> {
    let name = observed.name_any();
    let api: Api<CachedDeployment> = Api::namespaced_with(
        writer.client(),
        observed.metadata.namespace.as_deref().unwrap_or_default(),
        &Kind::Deployment,
    );
    let body = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "uid": observed.metadata.uid,
            "resourceVersion": observed.metadata.resource_version,
        },
        "spec": {"replicas": replicas},
    });
    let params = PatchParams::apply(SCALER).force();
    writer.send(Kind::Deployment.name(), api.patch(&name, &params, &Patch::Apply(&body))).await
}
