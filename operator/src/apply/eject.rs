//! Pods that leave their Service or re-enter it, by a label, and those that are evicted. I/O out.

use super::{app::Leader, memory::ApplyMemory, writer::WriteError};
use crate::{
    decide::{
        DecideMemory, Pass,
        ejection::{EjectionChange, EjectionStep, Evicted},
    },
    event::Event,
    labels::{SCALER, TIER},
    observe::cluster::pods::CachedPod,
    runtime::clock,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use scalableapp_crds::Tier;
use scalableapp_engine::reason::{self, Reason};
use serde_json::{Value, json};

const KIND: &str = "Pod";

/// Writes what the pass decided. What fails is tried again later.
///
/// # Errors
/// [`WriteError::NotLeader`] only.
pub async fn eject(
    leader: Leader<'_>,
    decisions: &mut DecideMemory,
    memory: &mut ApplyMemory,
    pass: &Pass,
) -> Result<(), WriteError> {
    for (component, EjectionStep { changes, evicted }) in &pass.ejections {
        for change in changes {
            match label(leader, change).await {
                Ok(()) => memory.unpublished.push(said(change)),
                Err(error @ WriteError::NotLeader { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(component, pod = change.pod.name_any(), %error, "a pod was not put in or out of its Service");
                    decisions.note_ejection_failure(component, clock::wall());
                    // Others may be refused no less; but each would wait as long.
                    if matches!(error, WriteError::TimedOut { .. }) {
                        break;
                    }
                }
            }
        }
        let Some(Evicted { pod, reason, dependency }) = evicted else { continue };
        let result = evict(leader, pod).await;
        decisions.note_eviction(component, result.is_ok(), clock::wall());
        match result {
            Ok(()) => memory.unpublished.push(Event {
                warning: true,
                reason: reason.name,
                action: "Evict",
                note: evicted_words(&pod.name_any(), dependency.as_deref(), *reason),
            }),
            Err(error @ WriteError::NotLeader { .. }) => return Err(error),
            // A PodDisruptionBudget may refuse it for now.
            Err(error) => tracing::info!(component, pod = pod.name_any(), %error, "a pod was not evicted"),
        }
    }
    Ok(())
}

fn evicted_words(pod: &str, dependency: Option<&str>, reason: Reason) -> String {
    let of_dependency = dependency.map_or_else(String::new, |dependency| format!("{dependency}: "));
    format!("pod {pod}: {of_dependency}{}", reason.sentence)
}

fn said(EjectionChange { pod, dependency }: &EjectionChange) -> Event {
    let name = pod.name_any();
    match dependency {
        Some(dependency) => Event {
            warning: true,
            reason: reason::POD_EJECTED.name,
            action: "Eject",
            note: format!("pod {name}: {dependency}: {}", reason::POD_EJECTED.sentence),
        },
        None => Event {
            warning: false,
            reason: reason::POD_RETURNED.name,
            action: "Return",
            note: format!("pod {name}: {}", reason::POD_RETURNED.sentence),
        },
    }
}

/// A pod that is gone or was replaced needs no label.
async fn label(
    leader: Leader<'_>,
    EjectionChange { pod, dependency }: &EjectionChange,
) -> Result<(), WriteError> {
    let tier = dependency.is_none().then(|| Tier::Service.name());
    let body = json!({"metadata": {"uid": pod.metadata.uid, "labels": {TIER: tier}}});
    let params = PatchParams { field_manager: Some(SCALER.to_owned()), ..PatchParams::default() };
    let api = api(leader, pod);
    let request = async {
        match api.patch(&pod.name_any(), &params, &Patch::Merge(&body)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            answer => answer.map(drop),
        }
    };
    match leader.writer.send(KIND, request).await {
        Err(WriteError::Conflict { .. }) => Ok(()),
        answer => answer,
    }
}

/// Evicts this very pod, which respects PodDisruptionBudgets. `Api::evict` of kube would send its options under a name that
/// the API server ignores, so it would evict any pod of this name.
async fn evict(leader: Leader<'_>, pod: &CachedPod) -> Result<(), WriteError> {
    let name = pod.name_any();
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": pod.metadata.namespace},
        "deleteOptions": {"preconditions": {"uid": pod.metadata.uid}},
    });
    let api = api(leader, pod);
    let request = async {
        match api.create_subresource::<_, Value>("eviction", &name, &PostParams::default(), &eviction).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            answer => answer.map(drop),
        }
    };
    leader.writer.send(KIND, request).await
}

fn api(leader: Leader<'_>, pod: &CachedPod) -> Api<CachedPod> {
    Api::namespaced(leader.writer.client(), pod.metadata.namespace.as_deref().unwrap_or_default())
}
