//! The maximum replicas of a component whose pods the cluster does not grant. Pure.
//!
//! A quota is used up, no node has room, an image cannot be pulled: more replicas would only wait beside those that wait
//! already. So the replicas stay until the pods are granted, and are never reduced for it. They are then at most one step
//! above what is granted, because the step before was the last one.
//!
//! Kubernetes tries refused pods again after a time that doubles up to 17 minutes, and at once when the replicas change. So
//! while load asks for more, one more replica is asked for after [`FIRST_TRY`], and then after twice the time, up to
//! [`LONGEST`]. A quota that was raised is used by then. The replica is refused with the others, or wanted.
//!
//! A revision whose pods never were available does not count beside one that has some: a growth goes to the latter.

use crate::app::subject::Subject;
use crate::bounds::Bound;
use crate::reason::{self, Reason};
use crate::rollout::rolling::Revision;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Time until one more replica is asked for.
const FIRST_TRY: SignedDuration = SignedDuration::from_mins(2);
/// The longest time between two tries.
const LONGEST: SignedDuration = SignedDuration::from_mins(10);
/// Time within which Kubernetes has said again that it refuses pods.
const SETTLE: SignedDuration = SignedDuration::from_secs(30);

/// The tries since pods were first refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tries {
    /// The last growth since then, or when they were first refused.
    last: Option<Timestamp>,
    count: u8,
}

impl Tries {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn observe(&mut self, is_refused: bool, now: Timestamp) {
        match self.last {
            None if is_refused => self.last = Some(now),
            Some(last) if !is_refused && now.duration_since(last) > SETTLE => *self = Self::default(),
            _ => {}
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let wait = FIRST_TRY.saturating_mul(1 << self.count.min(3)).min(LONGEST);
        self.last.is_some_and(|last| now.duration_since(last) >= wait)
    }

    /// Remembers a growth of the replicas. One that is not due follows a try whose pods were granted, and is none itself.
    pub(crate) fn grew(&mut self, now: Timestamp) {
        if self.last.is_some() {
            let tries = u8::from(self.is_due(now));
            *self = Self { last: Some(now), count: self.count.saturating_add(tries) };
        }
    }
}

/// The current replicas, while pods are not granted, and one more when Kubernetes is to try again. No pod is taken from a
/// declared minimum.
pub(crate) fn ceiling(subject: &Subject<'_>, tries: &mut Tries, declared_min: i32) -> Option<Bound> {
    let reason = reason(subject);
    let is_refused = reason == Some(reason::PODS_REFUSED);
    tries.observe(is_refused, subject.now);
    let replicas = subject.current_replicas.max(declared_min);
    if is_refused && tries.is_due(subject.now) {
        let by = "one more try of what is refused".to_owned();
        return Some(Bound::new(replicas.saturating_add(1), reason::PODS_REFUSED, by));
    }
    Some(Bound::new(replicas, reason?, "what is granted".to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growth_after_a_try_that_was_granted_is_no_try() {
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let mut tries = Tries::default();
        tries.observe(true, at(0));
        assert!(tries.is_due(at(120)));
        tries.grew(at(120));
        tries.observe(false, at(121));
        tries.grew(at(121));
        tries.observe(true, at(122));
        assert_eq!([360, 361].map(|seconds| tries.is_due(at(seconds))), [false, true], "after four minutes");
    }
}
