//! When a request rate of zero is not believed. Pure.
//!
//! Requests are counted when they end. A rate of zero while requests are being served means that they hang, as all do
//! behind a dependency that does not answer, or that they are no longer counted; not that nobody asks. It is doubted
//! for an hour at most, because a gauge of requests in flight that is never taken back, and a connection that stays
//! open for days, must not keep an idle component large for ever.

use crate::app::subject::Subject;
use crate::evidence::sample::SampleError;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Time after which a zero is believed, whatever speaks against it.
pub const BELIEVED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Time without a zero to doubt, for lack of evidence, after which a doubt begins anew. Shorter gaps, such as a scrape that
/// failed, must not make it endless.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// The request rates that are zero and doubted, by the name of the metric. A restart begins a doubt anew, so it never
/// hastens belief.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Doubts(BTreeMap<String, Doubt>);

impl Doubts {
    /// Forgets the metrics that are not kept.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|metric, _| is_kept(metric));
    }
}

/// A zero that is doubted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Doubt {
    since: Timestamp,
    /// When it was doubted last.
    last: Timestamp,
}

/// Why the rate of a metric is not believed, if so. `served` are the requests that are being served; `least` are the replicas that run at any load: where
/// no more do, a zero takes none away.
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
