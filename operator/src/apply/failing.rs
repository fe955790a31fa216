//! Failed writes of one component, and when its replicas are decided again. No I/O of its own.

use super::{
    attempts::{Attempt, Attempts, CAP},
    writer::WriteError,
};
use crate::decide::component_state::Failure;
use jiff::{SignedDuration, Timestamp};

/// Wait before refused replicas are retried, and the longest wait for any replicas: they follow the load, and a policy
/// of the cluster may change without a notification.
pub const TRIED_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// Writes of one component whose last attempt failed.
#[derive(Clone, Default)]
pub struct Failing {
    /// Of its children.
    pub children: Attempts,
    /// Of its replicas. Boxed, because they are rare.
    replicas: Option<Box<Attempt>>,
    /// Until then no replicas are decided, because they would be recorded and fail again in every reconcile.
    until: Option<Timestamp>,
}

impl Failing {
    /// The failure to report. For an applied generation, a temporary one is not reported.
    #[must_use]
    pub fn said(&self, was_applied: bool) -> Option<Failure> {
        self.children.said(was_applied).or_else(|| self.replicas.as_ref()?.lasting().cloned())
    }

    /// The time of the earliest retry.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        [self.children.due(), self.until].into_iter().flatten().min()
    }

    /// Records a successful or failed write of replicas.
    pub fn scaled(&mut self, written: &Result<(), WriteError>, now: Timestamp) {
        let failed = |error| Box::new(Attempt::failed(self.replicas.as_deref(), 0, error, CAP, now));
        self.replicas = written.as_ref().err().map(failed);
        self.until = match written {
            Err(error) if error.is_refusal() => Some(now + TRIED_AGAIN_AFTER),
            _ => self.replicas.as_ref().map(|attempt| attempt.until()),
        };
    }

    /// Prevents decisions until the leader's epoch is written again, if that failed. Otherwise the cache shows it in a
    /// moment.
    pub fn await_fence(&mut self, now: Timestamp) {
        self.until = self.children.due().map(|due| due.min(now + TRIED_AGAIN_AFTER));
    }

    /// Whether replicas still wait for their retry.
    #[must_use]
    pub fn is_recent(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now < until && until <= now + TRIED_AGAIN_AFTER)
    }
}
