//! Writes of the scale of a Cluster of CloudNativePG, of which nothing else is written. I/O out.
//!
//! The write carries the `resourceVersion` that its decision read. There is no epoch in the Cluster, because it is not
//! the operator's: a late write of an earlier leader is a conflict once anything of the Cluster has changed.

use super::{app::Leader, writer::WriteError};
use crate::{
    kinds::Kind,
    labels::SCALER,
    observe::cluster::{cached::CachedWorkload, named::least, postgres::CachedCluster},
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Gives the Cluster its primary and this number of replicas, and returns it as it is then.
///
/// # Errors
/// [`WriteError::Conflict`] when the Cluster has changed since `observed` was read; [`WriteError::Refused`] when its
/// synchronous replication needs more replicas, which the API server does not check here.
pub(super) async fn scale(
    leader: Leader<'_>,
    observed: &CachedWorkload,
    replicas: i32,
) -> Result<CachedWorkload, WriteError> {
    let (kind, name) = (Kind::Cluster, observed.name_any());
    let namespace = observed.metadata.namespace.as_deref().unwrap_or_default();
    let least = leader.cluster.clusters.get(namespace, &name).map_or(1, |cluster| least(&cluster).max(1));
    if replicas < least {
        let message = format!(
            "the Cluster {name} needs {least} replicas for its synchronous replication, not {replicas}"
        );
        return Err(WriteError::Refused { kind: kind.name(), message });
    }
    let api: Api<CachedCluster> = Api::namespaced_with(leader.writer.client(), namespace, &kind);
    let body = json!({
        "metadata": {"resourceVersion": observed.metadata.resource_version},
        "spec": {"replicas": replicas.saturating_add(1)},
    });
    let params = PatchParams { field_manager: Some(SCALER.to_owned()), ..PatchParams::default() };
    leader.writer.send(kind.name(), api.patch_scale(&name, &params, &Patch::Merge(&body))).await?;
    let mut written = observed.clone();
    // The answer does not have it. The write was the next one after the observed state, and changed its spec.
    written.metadata.generation = written.metadata.generation.map(|generation| generation.saturating_add(1));
    Ok(written)
}
