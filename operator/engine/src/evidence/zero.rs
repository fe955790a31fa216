//! When a request rate of zero is doubted. Pure.
//!
//! Requests are counted when they end. A rate of zero while requests are in flight means that they hang, as all do
//! behind a dependency that does not answer, or that they are no longer counted. It does not mean that there is no
//! load. It is doubted for one hour at most: a gauge of requests in flight that is never decremented, or a connection
//! that stays open for days, must not keep an idle component large forever.

use crate::app::subject::Subject;
use crate::evidence::sample::SampleError;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Time after which a zero is accepted.
pub const BELIEVED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Time without a doubted zero, for lack of evidence, after which a doubt starts again. Shorter gaps, such as a failed
/// scrape, must not make it endless.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// The request rates with a doubted zero, by the name of the metric. A restart starts a doubt again, so it never
/// shortens one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Doubts(BTreeMap<String, Doubt>);

impl Doubts {
    /// Removes the metrics that are not kept.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|metric, _| is_kept(metric));
    }
}

/// A doubted zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Doubt {
    since: Timestamp,
    /// When it was doubted last.
    last: Timestamp,
}

/// Why the rate of a metric is doubted, if it is. `served` are the requests in flight. `least` are the replicas that
/// run at any load: at or below them a zero removes none.
pub(crate) fn doubt(
    subject: &Subject<'_>,
    doubts: &mut Doubts,
    metric: &str,
    rate: f64,
    served: u32,
    least: i32,
) -> Option<SampleError> {
    if rate > 0.0 || served == 0 || subject.current_replicas <= least {
        doubts.0.remove(metric);
        return None;
    }
    let begun = Doubt { since: subject.now, last: subject.now };
    let doubt = doubts.0.entry(metric.to_owned()).or_insert(begun);
    if subject.now.duration_since(doubt.last) > FORGOTTEN_AFTER {
        *doubt = begun;
    }
    doubt.last = subject.now;
    (subject.now.duration_since(doubt.since) < BELIEVED_AFTER)
        .then_some(SampleError::ZeroWhileServing(served))
}
