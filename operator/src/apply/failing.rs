//! Writes of one component that failed, and when its replicas are decided again. No I/O of its own.

use super::{
    attempts::{Attempt, Attempts, CAP},
    writer::WriteError,
};
use crate::decide::component_state::Failure;
use jiff::{SignedDuration, Timestamp};

/// Time after which refused replicas are tried again, and the longest after which any are: they follow the load, and a
/// policy of the cluster may change without a word to anybody.
pub const TRIED_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// Writes of one component that failed last time.
#[derive(Clone, Default)]
pub struct Failing {
    /// Of its children.
    pub children: Attempts,
    /// Of its replicas. Boxed, because they are rare.
    replicas: Option<Box<Attempt>>,
    /// Until then no replicas are decided, because they would be said and fail once more at each look at the app.
    until: Option<Timestamp>,
}

impl Failing {
    /// The failure to name. Of a generation that was applied before, one that may pass is not named.
    #[must_use]
    pub fn said(&self, was_applied: bool) -> Option<Failure> {
        self.children.said(was_applied).or_else(|| self.replicas.as_ref()?.lasting().cloned())
    }

    /// When the first of them is made again.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        [self.children.due(), self.until].into_iter().flatten().min()
    }

    /// Notes that replicas were written, or could not be.
    pub fn scaled(&mut self, written: &Result<(), WriteError>, now: Timestamp) {
        let failed = |error| Box::new(Attempt::failed(self.replicas.as_deref(), 0, error, CAP, now));
        self.replicas = written.as_ref().err().map(failed);
        self.until = match written {
            Err(error) if error.is_refusal() => Some(now + TRIED_AGAIN_AFTER),
            _ => self.replicas.as_ref().map(|attempt| attempt.until()),
        };
    }

    /// Keeps replicas from being decided until the leader's epoch is written once more, if that failed; else the cache
    /// shows it in a moment.
    pub fn await_fence(&mut self, now: Timestamp) {
        self.until = self.children.due().map(|due| due.min(now + TRIED_AGAIN_AFTER));
    }

    /// Whether replicas are not tried again yet.
    #[must_use]
    pub fn is_recent(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now < until && until <= now + TRIED_AGAIN_AFTER)
    }
}
