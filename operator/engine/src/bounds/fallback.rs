//! The floor of a component whose metrics have been missing for a while. Pure.
//!
//! A metric without fresh evidence holds the replicas that there are. That is enough for a short outage; in a long one
//! the load may grow unseen. So the floor then rises to what the user calls safe. It never lowers anything: nothing
//! scales in on missing evidence.

use crate::bounds::Bound;
use crate::propose::evaluate::Signal;
use crate::reason;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What to have while a metric is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// Time without fresh evidence after which it counts. A restart of the process begins it anew.
    pub after: SignedDuration,
    /// The fewest replicas then.
    pub replicas: i32,
}

/// Since when each metric has had no fresh evidence, for those that have none now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct MissingSince(BTreeMap<String, Timestamp>);

impl MissingSince {
    /// Forgets the metrics that are not kept.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|metric, _| is_kept(metric));
    }
}

/// Notes which metrics are missing, and returns the floor if one has been for long enough.
pub(crate) fn floor(
    fallback: Option<Fallback>,
    signals: &[Signal<'_>],
    missing_since: &mut MissingSince,
    now: Timestamp,
) -> Option<Bound> {
    let missing: Vec<&str> = signals
        .iter()
        .filter(|signal| signal.result.invalid().is_some())
        .map(|signal| signal.metric.name.as_str())
        .collect();
    missing_since.retain(|metric| missing.contains(&metric));
    for metric in missing {
        missing_since.0.entry(metric.to_owned()).or_insert(now);
    }
    let Fallback { after, replicas } = fallback?;
    let (metric, _) = missing_since.0.iter().find(|(_, since)| now.duration_since(**since) >= after)?;
    let by = format!("fallback without {metric}");
    Some(Bound::new(replicas, reason::FALLBACK, by))
}
