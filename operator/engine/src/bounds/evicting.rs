//! The minimum shards of a cache that evicts keys. Pure.
//!
//! A shard that leaves takes its memory along, and its keys press into shards that are full. Evictions that are not known
//! keep the shards, too: a metric without evidence lets nothing scale in.

use crate::app::subject::Subject;
use crate::bounds::Bound;
use crate::propose::evaluate::Signal;
use crate::propose::metric::decimal;
use crate::reason;

/// The current shards, while keys are evicted.
pub(crate) fn floor(subject: &Subject<'_>, signals: &[Signal<'_>]) -> Option<Bound> {
    let per_second = signals.iter().find_map(|signal| signal.evictions).filter(|rate| *rate > 0.0)?;
    let shown = decimal(((per_second * 1000.0).round() as i64).max(1));
    let (replicas, reason) = (subject.current_replicas, reason::KEYS_ARE_EVICTED);
    let by = "the eviction of keys".to_owned();
    Some(Bound { replicas, reason, by, measured: format!(" ({shown}/s)") })
}
