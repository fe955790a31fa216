//! How replicas move between revisions, and in which order they are written. Pure.
//!
//! A plan is the next safe step, computed from what is observed; it is never a stored script.

pub mod act;
pub mod blue_green;
pub mod canary;
pub mod judge;
pub mod memory;
pub mod rolling;
pub mod weights;

use crate::stack::Component;
use crate::state::Observed;
use memory::RolloutState;
use rolling::{Revision, RollingLimits};
use std::collections::BTreeMap;

/// The next safe step: the `spec.replicas` that each revision should have now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Replicas by component and hash of the revision. The declared revision is included even before it exists.
    pub replicas: BTreeMap<String, BTreeMap<String, i32>>,
    /// Place of each component in the order of writes: caches, read replicas, services, workers.
    pub places: BTreeMap<String, u8>,
}

/// A write of the replicas of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaWrite<'a> {
    /// Name of the component.
    pub component: &'a str,
    /// Hash of the revision.
    pub revision: &'a str,
    /// Replicas before.
    pub from: i32,
    /// Replicas after.
    pub to: i32,
}

impl Plan {
    /// The remaining writes, in order: over the whole app replicas grow before any shrink, so the replacement is there
    /// first. What others depend on grows first and shrinks last; of the same tier the largest growth comes first. `live`
    /// has component, hash and replicas of the existing revisions.
    pub fn steps<'a>(
        &self,
        live: impl IntoIterator<Item = (&'a str, &'a str, i32)>,
    ) -> Vec<ReplicaWrite<'a>> {
        let step = |(component, revision, from): (&'a str, &'a str, i32)| {
            let to = *self.replicas.get(component)?.get(revision)?;
            (to != from).then_some(ReplicaWrite { component, revision, from, to })
        };
        let mut steps: Vec<ReplicaWrite<'a>> = live.into_iter().filter_map(step).collect();
        steps.sort_by_key(|step| {
            let place = i16::from(self.places.get(step.component).copied().unwrap_or_default());
            let shrinks = step.to < step.from;
            (shrinks, if shrinks { -place } else { place }, step.from - step.to)
        });
        steps
    }
}

/// Pods that a component may have, where they share something that is scarce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Pods that may be added now, over all revisions.
    pub(crate) growth: i32,
    /// Pods in all, once those that are leaving have ended.
    pub(crate) most: i32,
}

/// Whether a rollout waits, because what is shared has no room for a new pod beside the only old one.
pub(crate) fn waits(
    desired: i32,
    declared: &Component,
    observed: &Observed,
    room: Option<Room>,
    canary: Option<&RolloutState>,
) -> bool {
    match canary {
        Some(state) if declared.blue_green.is_some() => {
            let growth = room.map(|room| room.growth);
            blue_green::waits(state, &declared.revision, &observed.revisions, growth)
        }
        Some(state) if !state.is_complete() => false,
        _ => observed.is_rolling() && limits(desired, declared, observed, room).admit_nothing(),
    }
}

fn limits(desired: i32, declared: &Component, observed: &Observed, room: Option<Room>) -> RollingLimits {
    let rolling = declared.rolling;
    let limits = room.map_or_else(|| rolling.resolve(desired), |room| rolling.within(desired, room.most));
    let is_serving = observed.revisions.iter().any(|one| one.available.min(one.replicas) > 0);
    if limits.admit_nothing() && !is_serving {
        // Nothing is lost with a pod that does not serve, and its successor may be the repair.
        return RollingLimits { unavailable: 1, ..limits };
    }
    limits
}

/// The replicas of each revision of one component, for its decided replicas.
pub(crate) fn replicas(
    desired: i32,
    declared: &Component,
    observed: &Observed,
    room: Option<Room>,
    canary: Option<&RolloutState>,
) -> BTreeMap<String, i32> {
    let mut limits = limits(desired, declared, observed, room);
    let mut revisions = observed.revisions.clone();
    if !revisions.iter().any(|revision| revision.is_target) {
        let hash = declared.revision.clone();
        revisions.push(Revision { hash, replicas: 0, available: 0, is_target: true });
        // Its Deployment may be refused. Nothing is removed for it before it exists.
        limits = RollingLimits { surge: 1, unavailable: 0 };
    }
    let rolling = |revisions: &[Revision]| {
        let plan = rolling::plan(desired, revisions, limits);
        plan.into_iter().map(|(hash, replicas)| (hash.to_owned(), replicas)).collect()
    };
    let hash = &declared.revision;
    let mut plan: BTreeMap<String, i32> = match canary {
        Some(state) if declared.blue_green.is_some() => {
            let plan = blue_green::plan(state, hash, &revisions, desired, rolling);
            revisions = blue_green::by_need(state, hash, &revisions);
            plan
        }
        Some(state) => canary::plan(state, hash, &revisions, rolling),
        None => rolling(&revisions),
    };
    if let Some(room) = room {
        rolling::limit_growth(&mut plan, &revisions, room.growth);
    }
    if let Some(one) = revisions.iter().find(|one| Some(&one.hash) == observed.selected.as_ref()) {
        // It alone gets requests until its Service is written.
        let replicas = plan.entry(one.hash.clone()).or_default();
        *replicas = one.replicas.min(desired).max(*replicas);
    }
    plan
}

/// Pods that a rollout may have above the desired replicas.
pub(crate) fn surge(desired: i32, declared: &Component) -> i32 {
    match (&declared.blue_green, &declared.canary) {
        (Some(_), _) => desired,
        (None, Some(canary)) => canary.most_pods(desired).max(declared.rolling.surge(desired)),
        (None, None) => declared.rolling.surge(desired),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_the_whole_app_replicas_grow_before_any_shrink() {
        let planned = |hash: &str, replicas| BTreeMap::from([(hash.to_owned(), replicas)]);
        let mut web = planned("a", 1);
        web.insert("b".to_owned(), 3);
        let replicas = BTreeMap::from([("web".to_owned(), web), ("worker".to_owned(), planned("c", 9))]);
        let live = [("web", "a", 4), ("web", "b", 1), ("worker", "c", 2), ("gone", "d", 5)];
        let plan = Plan { replicas, ..Plan::default() };
        let steps: Vec<_> = plan.steps(live).iter().map(|step| (step.revision, step.from, step.to)).collect();
        assert_eq!(steps, [("c", 2, 9), ("b", 1, 3), ("a", 4, 1)]);
        assert_eq!(plan.steps([("web", "a", 1), ("web", "b", 3)]), [], "nothing is left to do");
    }

    #[test]
    fn what_others_depend_on_grows_first_and_shrinks_last() {
        let names = ["worker", "web", "main", "sessions"];
        let to = |replicas| names.map(|name| (name.to_owned(), BTreeMap::from([("a".to_owned(), replicas)])));
        let places = names.iter().zip([3, 2, 1, 0]).map(|(name, place)| ((*name).to_owned(), place));
        let places: BTreeMap<String, u8> = places.collect();
        let order = |replicas| {
            let plan = Plan { replicas: to(replicas).into(), places: places.clone() };
            let steps = plan.steps(names.map(|name| (name, "a", 2)));
            steps.iter().map(|step| step.component).collect::<Vec<_>>()
        };
        assert_eq!(order(3), ["sessions", "main", "web", "worker"]);
        assert_eq!(order(1), ["worker", "web", "main", "sessions"]);
    }
}
