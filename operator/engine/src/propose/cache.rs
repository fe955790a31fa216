//! When evictions ask for one more shard of a cache. Pure.
//!
//! A full cache evicts keys, which is its purpose: memory alone never asks for a shard. It is too small only where the
//! evicted keys are still read. So keys must be evicted, and the share of reads that find their key must have fallen.
//! The policies of the cache then add one shard, and wait for its effect.

use crate::app::subject::Subject;
use crate::evidence::cache::{CacheReading, judge_cache};
use crate::hpa::signal::Proposal;
use crate::propose::evaluate::{Invalid, MetricResult};

/// The fall of the hit ratio that counts. A smaller one is within its noise.
const FALL: f64 = 0.02;

/// The evictions per second, and the result of the metric.
pub(crate) struct Evictions {
    pub(crate) per_second: f64,
    pub(crate) result: MetricResult,
}

/// Reads and judges the evictions of a cache.
pub(crate) fn on_evictions(subject: &Subject<'_>, metric: &str) -> Result<Evictions, Invalid> {
    let reading = subject.cache(metric);
    let reading = judge_cache(reading.as_deref(), &subject.pods, subject.now, subject.max_age())?;
    let (per_second, current) = (reading.evictions_per_second, subject.current_replicas);
    let milli = (per_second * 1000.0).round() as i64;
    let why = match (per_second > 0.0, has_fallen(reading)) {
        (false, _) => "no shard is needed for them",
        (true, false) => "the hit ratio has not fallen",
        (true, true) => {
            let replicas = current.saturating_add(1);
            let ratio = f64::from(replicas) / f64::from(current.max(1));
            let proposal = Proposal { replicas, ratio, usage: milli, utilization: None, assumed: None };
            return Ok(Evictions { per_second, result: MetricResult::Asks(proposal) });
        }
    };
    let result = MetricResult::Silent { measured: Some(milli), why: why.to_owned() };
    Ok(Evictions { per_second, result })
}

fn has_fallen(reading: &CacheReading) -> bool {
    let ratios = reading.earlier_hit_ratio.zip(reading.hit_ratio);
    ratios.is_some_and(|(before, now)| before - now > FALL)
}
