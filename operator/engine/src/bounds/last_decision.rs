//! The minimum replicas of a component whose replicas somebody else lowered while a metric is missing. Pure.
//!
//! Nothing scales in on missing evidence, whoever wrote the lower number. With fresh evidence the current replicas count, as
//! they do for HPA.

use crate::app::subject::Subject;
use crate::bounds::Bound;
use crate::reason;

/// The replicas of the last decision, at most `max`, if the current ones are fewer.
pub(crate) fn floor(subject: &Subject<'_>, max: i32) -> Option<Bound> {
    let replicas = subject.decided_replicas?.min(max);
    (replicas > subject.current_replicas)
        .then(|| Bound::new(replicas, reason::LAST_DECISION, "the last decision".to_owned()))
}
