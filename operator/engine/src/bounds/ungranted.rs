//! The maximum replicas of a component whose pods wait for what nobody grants. Pure.
//!
//! No pod is removed for it: those that wait take what becomes free.

use crate::app::subject::Subject;
use crate::bounds::Bound;

/// The current replicas, while one of them waits. None is taken from a minimum.
pub(crate) fn ceiling(subject: &Subject<'_>, min: i32, max: &Bound) -> Option<Bound> {
    let reason = subject.observed.ungranted?;
    let replicas = subject.current_replicas.max(min);
    let by = "what the pods that wait have been granted".to_owned();
    (replicas < max.replicas).then(|| Bound::new(replicas, reason, by))
}
