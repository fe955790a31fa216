//! A blue-green rollout in the types of the engine. Pure.

use super::invalid::Problems;
use super::path::Path;
use jiff::SignedDuration;
use scalableapp_crds as api;
use scalableapp_crds::{GoDuration, limits};
use scalableapp_engine::rollout::blue_green::BlueGreen;
use std::time::Duration;

const DEFAULT_HOLD: Duration = Duration::from_secs(5 * 60);
const LONGEST_HOLD: Duration = Duration::from_secs(168 * 3600);

/// Resolves the blue-green rollout of a service, with its problems.
pub(super) fn resolve(written: &api::Service, path: Path<'_>, problems: &mut Problems) -> Option<BlueGreen> {
    let rollout = written.rollout.as_ref()?;
    let api::BlueGreen { preview_replicas, hold, approval } = rollout.blue_green.as_ref()?;
    let path = Path::Field(&path, "rollout");
    let path = Path::Field(&path, "blueGreen");
    if preview_replicas.is_some_and(|replicas| !(1..=limits::MOST_REPLICAS).contains(&replicas)) {
        problems.refuse(
            Path::Field(&path, "previewReplicas"),
            format!("use 1 to {} replicas", limits::MOST_REPLICAS),
        );
    }
    let hold = hold.as_ref().map_or(Ok(DEFAULT_HOLD), GoDuration::parse);
    let hold = hold.ok().filter(|hold| *hold <= LONGEST_HOLD);
    let hold = hold.and_then(|hold| SignedDuration::try_from(hold).ok()).unwrap_or_else(|| {
        problems.refuse(Path::Field(&path, "hold"), "use a duration of 0s to 168h, such as 5m");
        SignedDuration::ZERO
    });
    Some(BlueGreen { preview_replicas: *preview_replicas, hold, approval: approval.unwrap_or(false) })
}
