//! Why a read replica is not ready, by what its script lets the kubelet know: exit codes, and when the primary was found
//! usable, which is the start of its container. Pure.

use super::trouble::since;
use crate::labels::TIER;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use scalableapp_crds::Tier;
use scalableapp_engine::reason::{self, Reason};

/// The exit codes of `render/reader/reader.sh` about the primary. Whoever ended so is told of until the next container
/// has found the primary usable.
pub(super) fn reason(pod: &Pod, exit_code: i32) -> Option<Reason> {
    let reason = match exit_code {
        10 => reason::PRIMARY_NOT_USABLE,
        11 => reason::PRIMARY_UNREACHABLE,
        12 => reason::PRIMARY_HAS_NO_ROOM,
        _ => return None,
    };
    is_replica(pod).then_some(reason)
}

/// Why the container of a replica runs and is not ready.
pub(super) fn not_ready(pod: &Pod, status: &ContainerStatus) -> Option<(Reason, &'static str)> {
    if !is_replica(pod) {
        return None;
    }
    if status.started != Some(true) {
        return Some((reason::PRIMARY_UNREACHABLE, "the primary has not answered it yet"));
    }
    let started = status.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0;
    // Only a pod that was ready has become unready since.
    let served = since(pod, "Ready").is_some_and(|since| since > started);
    Some(if served {
        (reason::REPLICA_BEHIND, "it is behind the primary by more than maxLag, or does not stream from it")
    } else {
        let words = "it is being cloned, waits until another replica of the primary is cloned, or catches up";
        (reason::REPLICA_NOT_COPIED, words)
    })
}

fn is_replica(pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(TIER)).is_some_and(|tier| tier == Tier::Database.name())
}
