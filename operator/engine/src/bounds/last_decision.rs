//! The floor of a component whose replicas somebody else has lowered while a metric is missing. Pure.
//!
//! Nothing scales in on missing evidence, whoever wrote the lower number. With fresh evidence the current replicas count, as
//! they do for HPA.

use crate::bounds::Bound;
use crate::input::Input;
use crate::reason;

/// The replicas of the last decision, at most `max`, if there are fewer.
pub(crate) fn floor(input: &Input<'_>, max: i32) -> Option<Bound> {
    let replicas = input.decided_replicas?.min(max);
    (replicas > input.current_replicas)
        .then(|| Bound::new(replicas, reason::LAST_DECISION, "the last decision".to_owned()))
}
