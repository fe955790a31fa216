//! The connections of a database's server and the pools of the pods, and whether they are valid. Pure.

use crate::evidence::exact;
use crate::evidence::sample::{SampleError, judge_number, judge_time};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The connections of a server, as the pods of the app see them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionsReading {
    /// Time of the oldest sample behind any of the values; `None` where no pod reports.
    pub at: Option<Timestamp>,
    /// Connections of ordinary roles that the server admits: those for superusers and reserved roles are none.
    #[serde(with = "exact::number")]
    pub most: f64,
    /// Sessions of this app.
    #[serde(with = "exact::number")]
    pub own: f64,
    /// Sessions of others.
    #[serde(with = "exact::number")]
    pub others: f64,
}

/// The pools of a component's pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolReading {
    /// Time of the query.
    pub at: Option<Timestamp>,
    /// Pods with a fresh sample.
    pub reporting: u32,
    /// The largest maximum size of their pools.
    #[serde(with = "exact::number")]
    pub largest: f64,
}

/// Checks the connections of a server.
///
/// # Errors
/// When a value or the age is invalid.
pub fn judge_connections(
    reading: &ConnectionsReading,
    now: Timestamp,
    max_age: SignedDuration,
) -> Result<(), SampleError> {
    judge_time(reading.at, now, max_age)?;
    [reading.most, reading.own, reading.others].into_iter().try_for_each(judge_number)
}

impl PoolReading {
    /// Whether the query is recent.
    pub(crate) fn is_fresh(&self, now: Timestamp, max_age: SignedDuration) -> bool {
        judge_time(self.at, now, max_age).is_ok()
    }
}
