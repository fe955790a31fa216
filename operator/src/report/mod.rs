//! From a pass to what is said of it: status, conditions and events. Pure.

pub mod conditions;
pub mod happenings;
pub mod overrides;
pub mod standing;

use conditions::conditions;
use jiff::Timestamp;
use scalableapp_crds::{ComponentStatus, RevisionStatus, ScalableAppStatus, Tier};
use scalableapp_engine::reason;
use standing::{Failure, Standing};

/// The status of an app after a pass. What is said already keeps its times, so that saying it again changes nothing.
///
/// `before` is the status that is known; `failure` concerns the app as a whole, for example a spec that cannot be done,
/// and then the components stay as they were reported.
#[must_use]
pub fn status(
    before: Option<&ScalableAppStatus>,
    generation: i64,
    components: &[&Standing],
    failure: Option<&Failure>,
    now: Timestamp,
) -> ScalableAppStatus {
    let mut status = before.cloned().unwrap_or_default();
    status.observed_generation = generation;
    if failure.is_none() {
        status.components = components.iter().map(|standing| component(standing, before)).collect();
        let (ready, desired) = components.iter().fold((0, 0), |(ready, desired), standing| {
            (ready + standing.ready(), desired + standing.desired)
        });
        status.replicas = format!("{ready}/{desired}");
        if components.iter().any(|standing| standing.paused.is_some()) {
            reason::PAUSED.name.clone_into(&mut status.limited_by);
        } else if components.iter().all(|standing| standing.decided) {
            status.limited_by = limited_by(components);
        }
    }
    conditions(&mut status.conditions, components, failure, generation, now);
    status
}

fn component(standing: &Standing, before: Option<&ScalableAppStatus>) -> ComponentStatus {
    let known =
        before.and_then(|status| status.components.iter().find(|component| component.name == standing.name));
    let mut revisions: Vec<RevisionStatus> = standing
        .revisions
        .iter()
        .map(|revision| RevisionStatus {
            hash: revision.hash.clone(),
            replicas: revision.replicas,
            ready: revision.ready,
        })
        .collect();
    revisions.sort_by_key(|revision| (revision.hash != standing.target, revision.hash.clone()));
    revisions.truncate(5);
    ComponentStatus {
        name: standing.name.clone(),
        tier: Tier::Service,
        desired: standing.desired,
        ready: standing.ready(),
        limited_by: match known {
            Some(known) if !standing.decided => known.limited_by.clone(),
            _ => standing.limited_by_names(),
        },
        revisions,
        memory: standing.memory.clone().or_else(|| known.and_then(|known| known.memory.clone())),
        last_decision: standing
            .record
            .clone()
            .or_else(|| known.and_then(|known| known.last_decision.clone())),
    }
}

fn limited_by(components: &[&Standing]) -> String {
    let limited: Vec<String> = components
        .iter()
        .filter(|standing| !standing.limited_by.is_empty())
        .map(|standing| format!("{}: {}", standing.name, standing.limited_by_names()))
        .collect();
    limited.join("; ").chars().take(256).collect()
}
