//! The evictions and the hits of a cache, and whether they are valid. Pure.

use crate::evidence::exact;
use crate::evidence::sample::{Coverage, SampleError, judge_number, judge_time};
use crate::hpa::pod::Pod;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The evictions and the hits of all shards of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheReading {
    /// Time of the oldest sample behind the evictions; `None` if not known.
    pub at: Option<Timestamp>,
    /// Shards that report their evictions.
    pub shards: u32,
    /// Keys that were evicted, per second; the sum over the shards.
    #[serde(with = "exact::number")]
    pub evictions_per_second: f64,
    /// Reads that found their key, per second; `None` if not known.
    #[serde(default, with = "exact::optional", skip_serializing_if = "Option::is_none")]
    pub hits_per_second: Option<f64>,
    /// Share of reads that found their key in the last 5 minutes; `None` without a read.
    #[serde(default, with = "exact::optional", skip_serializing_if = "Option::is_none")]
    pub hit_ratio: Option<f64>,
    /// The same in the 30 minutes before.
    #[serde(default, with = "exact::optional", skip_serializing_if = "Option::is_none")]
    pub earlier_hit_ratio: Option<f64>,
}

/// Checks the evictions of a cache, which every shard must report; no reading means that a query was not answered.
///
/// # Errors
/// When a value, the age or the number of shards is invalid.
pub fn judge_cache<'a>(
    reading: Option<&'a CacheReading>,
    pods: &[Pod],
    now: Timestamp,
    max_age: SignedDuration,
) -> Result<&'a CacheReading, SampleError> {
    let reading = reading.ok_or(SampleError::NoSample)?;
    judge_number(reading.evictions_per_second)?;
    judge_time(reading.at, now, max_age)?;
    let coverage = Coverage { reporting: reading.shards };
    coverage.lack(pods, now, max_age).map_or(Ok(reading), Err)
}
