//! The maximum replicas of a component whose pods the cluster does not grant. Pure.
//!
//! A quota is used up, no node has room, an image cannot be pulled: more replicas would only wait beside those that wait
//! already. So the replicas stay until the pods are granted, and are never reduced for it. They are then at most one step
//! above what is granted, because the step before was the last one.
//!
//! A revision whose pods never were available does not count beside one that has some: a growth goes to the latter.

use crate::app::subject::Subject;
use crate::bounds::Bound;
use crate::reason::Reason;
use crate::rollout::rolling::Revision;

/// The current replicas, while pods are not granted: no pod is taken from a declared minimum.
pub(crate) fn ceiling(subject: &Subject<'_>, declared_min: i32) -> Option<Bound> {
    let reason = reason(subject)?;
    let replicas = subject.current_replicas.max(declared_min);
    Some(Bound::new(replicas, reason, "what is granted".to_owned()))
}

fn reason(subject: &Subject<'_>) -> Option<Reason> {
    let observed = subject.observed;
    if observed.ungranted.is_empty() {
        return None;
    }
    let is_served = observed.revisions.iter().any(|one| one.available > 0);
    let grows = |one: &&Revision| one.available > 0 || !is_served;
    observed.revisions.iter().filter(grows).find_map(|one| observed.ungranted.get(&one.hash)).copied()
}
