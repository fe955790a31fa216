//! The minimum replicas of a component whose metrics have been missing for a while. Pure.
//!
//! A metric without fresh evidence keeps the current replicas. That suffices for a short outage. In a long one the load
//! may grow unseen, so the minimum rises to the number that the user declared as safe. It never lowers anything:
//! nothing scales in on missing evidence.

use crate::bounds::Bound;
use crate::propose::evaluate::Signal;
use crate::reason;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Minimum replicas while a metric is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// Time without fresh evidence after which it applies. A restart of the process starts it again.
    pub after: SignedDuration,
    /// The minimum replicas.
    pub replicas: i32,
}

/// Since when each metric has had no fresh evidence, for those that have none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct MissingSince(BTreeMap<String, Timestamp>);

impl MissingSince {
    /// Removes the metrics that are not kept.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|metric, _| is_kept(metric));
    }
}

/// Records which metrics are missing, and returns the bound if one has been missing for long enough.
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
