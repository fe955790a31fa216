//! The floor of a component whose metrics have been missing for a while. Pure.
//!
//! A metric without fresh evidence holds the replicas that there are. That is enough for a short outage; in a long one
//! the load may grow unseen. So the floor then rises to what the user calls safe. It never lowers anything: nothing
//! scales in on missing evidence.

use crate::bounds::Bound;
use crate::evaluate::Signal;
use crate::memory::Memory;
use crate::reason;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What to have while a metric is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// Time without fresh evidence after which it counts. A restart of the process begins it anew.
    pub after: SignedDuration,
    /// The fewest replicas then.
    pub replicas: i32,
}

/// Notes which metrics are missing, and returns the floor if one has been for long enough.
pub(crate) fn floor(
    fallback: Option<Fallback>,
    signals: &[Signal<'_>],
    memory: &mut Memory,
    now: Timestamp,
) -> Option<Bound> {
    let missing: Vec<&str> = signals
        .iter()
        .filter(|signal| signal.vote.invalid().is_some())
        .map(|signal| signal.metric.name.as_str())
        .collect();
    memory.missing_since.retain(|metric, _| missing.contains(&metric.as_str()));
    for metric in missing {
        memory.missing_since.entry(metric.to_owned()).or_insert(now);
    }
    let Fallback { after, replicas } = fallback?;
    let (metric, _) = memory.missing_since.iter().find(|(_, since)| now.duration_since(**since) >= after)?;
    let by = format!("fallback without {metric}");
    Some(Bound { replicas, reason: reason::FALLBACK, by })
}
