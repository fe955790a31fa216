//! The deletion costs of pods, by which idle ones leave first. I/O out.

use super::writer::{WriteError, Writer};
use crate::{
    decide::deletion_costs::CostChange,
    labels::{DELETION_COST, SCALER},
    observe::cluster::pods::CachedPod,
};
use futures::{FutureExt, StreamExt, stream};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Kind of the objects that are written.
const KIND: &str = "Pod";
/// Writes that are sent at the same time.
const AT_ONCE: usize = 8;
/// Failed writes after which the others are not tried.
const FAILED: usize = 2;

/// Writes the costs. A failed write does not stop the scale-in; the last failure is returned.
///
/// # Errors
/// [`WriteError::NotLeader`] only.
pub async fn write(writer: &Writer, changes: &[CostChange]) -> Result<Option<WriteError>, WriteError> {
    let writes: Vec<_> = changes.iter().map(|change| one(writer, change).boxed()).collect();
    let mut written = stream::iter(writes).buffer_unordered(AT_ONCE);
    let (mut failed, mut last) = (0, None);
    while let Some(result) = written.next().await {
        match result {
            Ok(()) => {}
            Err(error @ WriteError::NotLeader { .. }) => return Err(error),
            Err(error) => {
                failed += 1;
                last = Some(error);
            }
        }
        if failed >= FAILED {
            break;
        }
    }
    Ok(last)
}

/// A pod that is gone or was replaced needs no cost.
async fn one(writer: &Writer, CostChange { pod, cost }: &CostChange) -> Result<(), WriteError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<CachedPod> = Api::namespaced(writer.client(), namespace);
    let body = json!({"metadata": {
        "uid": pod.metadata.uid,
        "annotations": {DELETION_COST: cost.map(|cost| cost.to_string())},
    }});
    let params = PatchParams { field_manager: Some(SCALER.to_owned()), ..PatchParams::default() };
    let request = async {
        match api.patch(&pod.name_any(), &params, &Patch::Merge(&body)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            answer => answer.map(drop),
        }
    };
    match writer.send(KIND, request).await {
        Err(WriteError::Conflict { .. }) => Ok(()),
        answer => answer,
    }
}
