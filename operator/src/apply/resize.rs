//! Resizes the memory of running shards, by the subresource `resize` of their pods. I/O out.

use super::{app::Leader, memory::ApplyMemory, writer::WriteError};
use crate::{
    decide::{DecideMemory, Pass, memory::RESIZED_AGAIN_AFTER, shard_memory::ResizeRefusal},
    event::Event,
    labels::MANAGER,
    resolve::app::App,
    runtime::clock,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use scalableapp_engine::reason;
use serde_json::json;

const KIND: &str = "Pod";

/// Resizes the pods of the pass. A refusal is remembered, and said once.
///
/// # Errors
/// [`WriteError::NotLeader`] only.
pub async fn resize(
    leader: Leader<'_>,
    app: &App,
    decisions: &mut DecideMemory,
    memory: &mut ApplyMemory,
    pass: &Pass,
) -> Result<(), WriteError> {
    for (cache, step) in &pass.memory {
        for pod in &step.resizes {
            let Err(error) = patch(leader, app, (cache, pod), step.bytes).await else { continue };
            if matches!(error, WriteError::NotLeader { .. }) {
                return Err(error);
            }
            tracing::warn!(cache, pod, %error, "the memory of a shard was not changed");
            let words = format!("pod {pod}: {}", error.words());
            let refusal = is_refusal(&error).then_some(ResizeRefusal { bytes: step.bytes, words });
            if let Some(ResizeRefusal { words, .. }) = &refusal {
                tell(memory, cache, words);
            }
            decisions.note_resize_failure(cache, refusal, clock::wall() + RESIZED_AGAIN_AFTER);
            break;
        }
        if let Some(words) = &step.refused {
            tell(memory, cache, words);
        }
    }
    memory.refused_memory.retain(|cache, _| pass.memory.contains_key(cache));
    Ok(())
}

async fn patch(
    leader: Leader<'_>,
    app: &App,
    (cache, pod): (&str, &str),
    bytes: i64,
) -> Result<Pod, WriteError> {
    let api: Api<Pod> = Api::namespaced(leader.writer.client(), &app.namespace);
    let memory = json!({"memory": bytes.to_string()});
    let container = json!({"name": cache, "resources": {"requests": memory, "limits": memory}});
    let body = json!({"spec": {"containers": [container]}});
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    leader.writer.send(KIND, api.patch_subresource("resize", pod, &params, &Patch::Strategic(body))).await
}

/// Whether the same resize cannot succeed. A server before 1.33 does not know the subresource.
fn is_refusal(error: &WriteError) -> bool {
    let is_unknown = |error: &kube::Error| {
        matches!(error, kube::Error::Api(status)
            if status.code == 405 || (status.code == 404 && status.message.contains("could not find the requested resource")))
    };
    match error {
        WriteError::Api { source, .. } => is_unknown(source),
        error => error.is_refusal(),
    }
}

/// An event about memory that the cluster refuses. The same words are said once.
fn tell(memory: &mut ApplyMemory, cache: &str, words: &str) {
    let said = memory.refused_memory.insert(cache.to_owned(), words.to_owned());
    if said.as_deref() != Some(words) {
        let reason = reason::MEMORY_NOT_GIVEN;
        let note = format!("{} {words}", reason.sentence);
        memory.unpublished.push(Event { warning: true, reason: reason.name, action: "Resize", note });
    }
}
