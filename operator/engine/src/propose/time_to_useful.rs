//! How long a read replica takes until it is useful, learnt from earlier growths. Pure.
//!
//! It is the time from the write of the replicas until all of them are eligible, for one replica: they are cloned one after
//! another. A new growth counts half, and all earlier ones together the other half. What ends otherwise teaches nothing: a
//! scale-in, a restart of the operator.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What is known of the read replicas of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimeToUseful {
    /// Since when replicas grow that are not all useful yet, and by how many.
    growth: Option<(Timestamp, i32)>,
    /// Seconds for one replica.
    seconds: Option<i32>,
}

impl TimeToUseful {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// From the status.
    pub(crate) fn restore(seconds: Option<i32>) -> Self {
        Self { growth: None, seconds: seconds.filter(|seconds| *seconds >= 0) }
    }

    /// Remembers a change of the replicas.
    pub(crate) fn changed(&mut self, now: Timestamp, by: i32) {
        self.growth = (by > 0).then(|| {
            let (since, before) = self.growth.unwrap_or((now, 0));
            (since, before.saturating_add(by))
        });
    }

    /// Learns from a growth that has ended.
    pub(crate) fn observe(&mut self, now: Timestamp, is_useful: bool) {
        let Some((since, by)) = self.growth.filter(|_| is_useful) else { return };
        self.growth = None;
        let elapsed = i32::try_from(now.duration_since(since).as_secs()).unwrap_or(i32::MAX);
        let seconds = elapsed.max(0) / by.max(1);
        self.seconds = Some(self.seconds.map_or(seconds, |earlier| seconds / 2 + earlier / 2));
    }

    /// Seconds for one replica, if known.
    pub(crate) fn seconds(&self) -> Option<i32> {
        self.seconds
    }

    /// The time that the replicas which are not useful yet should take, if known.
    pub(crate) fn expected(&self) -> Option<SignedDuration> {
        let (_, by) = self.growth?;
        Some(SignedDuration::from_secs(i64::from(self.seconds?)).saturating_mul(by))
    }
}
