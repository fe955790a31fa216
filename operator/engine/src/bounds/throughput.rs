//! The maximum replicas of a pool of workers whose throughput does not rise with its pods. Pure.

use crate::app::subject::Subject;
use crate::bounds::Bound;
use crate::propose::evaluate::Signal;
use crate::reason;

/// The current replicas, if the last growth did not help: no pod is removed, and none is taken from a minimum. At
/// `maxReplicas` it is named instead of these, because raising them would not help.
pub(crate) fn ceiling(subject: &Subject<'_>, signals: &[Signal<'_>], min: i32, max: &Bound) -> Option<Bound> {
    let is_stalled = |signal: &&Signal<'_>| signal.backlog.as_ref().is_some_and(|one| one.is_stalled);
    let metric = &signals.iter().find(is_stalled)?.metric.name;
    let replicas = subject.current_replicas.max(min);
    let counts = replicas < max.replicas || (replicas == max.replicas && max.reason == reason::MAX_REPLICAS);
    let by = format!("the limit of the stalled {metric}");
    counts.then(|| Bound::new(replicas, reason::THROUGHPUT_DOES_NOT_RISE, by))
}
