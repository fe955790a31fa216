//! How replicas move between revisions, and in which order they are written. Pure.
//!
//! A plan is the next safe step, computed from what is observed; it is never a stored script.

pub mod rolling;

use crate::stack::Component;
use crate::state::Observed;
use rolling::{Amount, Revision, Rolling};
use std::collections::BTreeMap;

/// The next safe step: the `spec.replicas` that each revision should have now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Replicas by component and hash of the revision. The declared revision is included even before it exists.
    pub replicas: BTreeMap<String, BTreeMap<String, i32>>,
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
    /// first. The largest growth comes first. `live` has component, hash and replicas of the existing revisions.
    pub fn steps<'a>(
        &self,
        live: impl IntoIterator<Item = (&'a str, &'a str, i32)>,
    ) -> Vec<ReplicaWrite<'a>> {
        let step = |(component, revision, from): (&'a str, &'a str, i32)| {
            let to = *self.replicas.get(component)?.get(revision)?;
            (to != from).then_some(ReplicaWrite { component, revision, from, to })
        };
        let mut steps: Vec<ReplicaWrite<'a>> = live.into_iter().filter_map(step).collect();
        steps.sort_by_key(|step| step.from - step.to);
        steps
    }
}

/// The replicas of each revision of one component, for its decided replicas.
pub(crate) fn replicas(desired: i32, declared: &Component, observed: &Observed) -> BTreeMap<String, i32> {
    let mut limits = declared.rolling;
    let mut revisions = observed.revisions.clone();
    if !revisions.iter().any(|revision| revision.is_target) {
        let hash = declared.revision.clone();
        revisions.push(Revision { hash, replicas: 0, available: 0, is_target: true });
        // Its Deployment may be refused. Nothing is removed for it before it exists.
        limits = Rolling { max_surge: Amount::Pods(1), max_unavailable: Amount::Pods(0) };
    }
    let plan = rolling::plan(desired, &revisions, limits);
    plan.into_iter().map(|(hash, replicas)| (hash.to_owned(), replicas)).collect()
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
        let plan = Plan { replicas };
        let steps: Vec<_> = plan.steps(live).iter().map(|step| (step.revision, step.from, step.to)).collect();
        assert_eq!(steps, [("c", 2, 9), ("b", 1, 3), ("a", 4, 1)]);
        assert_eq!(plan.steps([("web", "a", 1), ("web", "b", 3)]), [], "nothing is left to do");
    }
}
