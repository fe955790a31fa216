//! What evictions ask for: more memory of each shard, or one more shard. Pure.
//!
//! A full cache evicts keys, which is its purpose: memory alone never asks for anything. It is too small only where the
//! evicted keys are still read. So keys must be evicted, and the share of reads that find their key must have fallen.
//! Where the CPU is not too busy, memory is what is short, and each shard gets more of it up to its maximum. Otherwise the
//! policies of the cache add one shard. Either waits for the effect of the last growth.

use crate::app::subject::Subject;
use crate::evidence::cache::{CacheReading, judge_cache};
use crate::hpa::signal::Proposal;
use crate::propose::evaluate::{Invalid, MetricResult};
use crate::propose::metric::{decimal, thousandths};
use crate::stack::Workload;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The fall of the hit ratio that counts. A smaller one is within its noise.
const FALL: f64 = 0.02;
/// Wait after a growth of memory: its effect is seen when the keys are back. The same as between two shards.
const EFFECT: SignedDuration = SignedDuration::from_mins(5);
/// Wait after a refusal by the cluster.
const REFUSED: SignedDuration = SignedDuration::from_hours(1);

const MIB: i64 = 1 << 20;

/// The evictions per second, and the result of the metric.
pub(crate) struct Evictions {
    pub(crate) per_second: f64,
    pub(crate) result: MetricResult,
    /// Bytes to which the memory of each shard grows now.
    pub(crate) memory: Option<i64>,
}

/// Memory of the growth of the memory of shards. A new process begins as after a growth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MemoryGrowth {
    /// The last growth.
    last: Option<Timestamp>,
    /// The last refusal.
    refused: Option<Timestamp>,
}

impl MemoryGrowth {
    /// Notes that the memory has grown.
    pub(crate) fn grew(&mut self, at: Timestamp) {
        self.last = Some(at);
    }
}

/// How a cache can get more memory.
enum MemoryStep {
    /// Its shards have all that they may have, or the cluster refuses more.
    Full,
    /// The last growth has no effect yet.
    Waits,
    /// To these bytes.
    To(i64),
}

/// Reads and judges the evictions of a cache. `cpu_is_enough` says that the CPU asks for no shard.
pub(crate) fn on_evictions(
    subject: &Subject<'_>,
    metric: &str,
    cpu_is_enough: bool,
    memory: &mut MemoryGrowth,
) -> Result<Evictions, Invalid> {
    let growth = growth(subject, memory);
    let reading = subject.cache(metric);
    let reading = judge_cache(reading.as_deref(), &subject.pods, subject.now, subject.max_age())?;
    let (per_second, current) = (reading.evictions_per_second, subject.current_replicas);
    let milli = thousandths(per_second);
    let hits = reading.hits_per_second.map(|hits| decimal(thousandths(hits)));
    let saved = hits.map_or_else(String::new, |hits| format!("; {hits} hits/s save a query each"));
    let silent = |why: &str, memory| {
        let result = MetricResult::Silent { measured: Some(milli), why: format!("{why}{saved}") };
        Ok(Evictions { per_second, result, memory })
    };
    match (per_second > 0.0, has_fallen(reading), growth) {
        (false, _, _) => silent("no shard is needed for them", None),
        (true, false, _) => silent("the hit ratio has not fallen", None),
        (true, true, MemoryStep::To(bytes)) if cpu_is_enough => {
            silent(&format!("each shard grows to {} MiB", bytes / MIB), Some(bytes))
        }
        (true, true, MemoryStep::Waits) if cpu_is_enough => silent("more memory has no effect yet", None),
        (true, true, _) => {
            let replicas = current.saturating_add(1);
            let ratio = f64::from(replicas) / f64::from(current.max(1));
            let proposal = Proposal { replicas, ratio, usage: milli, utilization: None, assumed: None };
            Ok(Evictions { per_second, result: MetricResult::Asks(proposal), memory: None })
        }
    }
}

/// Half as much again, in whole MiB, up to the maximum.
fn growth(subject: &Subject<'_>, memory: &mut MemoryGrowth) -> MemoryStep {
    let now = subject.now;
    let last = *memory.last.get_or_insert(now);
    let Workload::Cache(cache) = &subject.declared.workload else { return MemoryStep::Full };
    let Some((max, observed)) = cache.max_memory.zip(subject.observed.shard_memory) else {
        return MemoryStep::Full;
    };
    if observed.is_refused {
        memory.refused = Some(now);
    }
    let is_within = |then: Timestamp, length| now.duration_since(then).abs() < length;
    if observed.bytes >= max || memory.refused.is_some_and(|then| is_within(then, REFUSED)) {
        return MemoryStep::Full;
    }
    if !observed.is_given || is_within(last, EFFECT) {
        return MemoryStep::Waits;
    }
    let more = observed.bytes.saturating_add(observed.bytes / 2);
    MemoryStep::To((more / MIB * MIB).max(observed.bytes.saturating_add(MIB)).min(max))
}

fn has_fallen(reading: &CacheReading) -> bool {
    let ratios = reading.earlier_hit_ratio.zip(reading.hit_ratio);
    ratios.is_some_and(|(before, now)| before - now > FALL)
}
