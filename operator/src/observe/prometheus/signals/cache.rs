//! Evictions, hits and memory of each cache, from the exporters beside its shards. Pure.

use hashbrown::HashMap;
use jiff::Timestamp;
use promql_parser::util::display_duration;
use scalableapp_engine::evidence::cache::CacheReading;
use std::time::Duration;

use super::family::{Family, Measurements, Sampling, renew, renew_pods};
use super::scraped::Measured;
use super::selection::{COMPONENT, Selection, once};
use super::template::{Misread, Template, TemplateAnswers};
use crate::observe::namespaced::NamespacedName;
use crate::observe::prometheus::answer::{Outcome, taken};
use crate::observe::prometheus::parts::Part;

/// Evicted keys per second, by component.
pub const EVICTIONS: Template = Template { name: "evictions", query: evictions };
/// Age in seconds of the oldest fresh sample of the evictions, by component.
pub const EVICTIONS_AGE: Template = Template { name: "evictions_age", query: age };
/// Shards with a fresh sample of the evictions, by component.
pub const SHARDS: Template = Template { name: "cache_shards", query: shards };
/// Reads per second that found their key, by component.
pub const HITS: Template = Template { name: "cache_hits", query: hits };
/// Share of reads that found their key in the last [`NOW`], by component.
pub const HIT_RATIO: Template = Template { name: "hit_ratio", query: hit_ratio };
/// The same in the [`BEFORE`] before, by component.
pub const EARLIER_HIT_RATIO: Template = Template { name: "earlier_hit_ratio", query: earlier_hit_ratio };
/// Share of the memory for data that is in use, by component.
pub const USED_MEMORY: Template = Template { name: "cache_memory", query: used_memory };
/// Commands of consumers per second, by shard, where its samples are fresh.
pub const SHARD_COMMANDS: Template = Template { name: "shard_commands", query: shard_commands };
/// Bytes that the data of each shard has or may have, whichever is more, where its samples are fresh.
pub const SHARD_DATA: Template = Template { name: "shard_data", query: shard_data };

/// Caches.
pub const FAMILY: Family = Family {
    templates: &[
        EVICTIONS,
        EVICTIONS_AGE,
        SHARDS,
        HIT_RATIO,
        EARLIER_HIT_RATIO,
        USED_MEMORY,
        HITS,
        SHARD_COMMANDS,
        SHARD_DATA,
    ],
    read,
    forget: |evidence| {
        evidence.caches = <_>::default();
        evidence.shards = <_>::default();
    },
};

/// Labels of a shard.
const SHARD: &str = "namespace, pod";
/// Commands that tell nothing about consumers: those of the exporter, the probes and the script of the shard, and those by
/// which a client connects and keeps its connection.
const NOT_OF_CONSUMERS: &str = "cmd!~\"(?:acl|auth|client|cluster|command|config|hello|info|latency|memory|ping|quit|reset|select|slowlog)(?:[|].*)?\"";

/// The counter of evicted keys of a shard.
pub const EVICTED_KEYS: &str = "redis_evicted_keys_total";
const NOW: Duration = Duration::from_secs(300);
const BEFORE: Duration = Duration::from_secs(1800);

/// The measurements of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CacheUse {
    /// Evictions and hits.
    pub reading: CacheReading,
    /// Share of the memory for data that is in use; `None` if it is not known.
    pub used_memory: Option<f64>,
}

fn evictions(selection: &Selection, part: &Part<'_>) -> String {
    let window = display_duration(&selection.request_window);
    let selector = selection.of_apps(EVICTED_KEYS, part);
    format!("sum by ({COMPONENT}) ({})", once(&format!("rate({selector}[{window}])")))
}

fn age(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps(EVICTED_KEYS, part);
    format!("time() - min by ({COMPONENT}) ({})", selection.fresh(&selector))
}

fn shards(selection: &Selection, part: &Part<'_>) -> String {
    let selector = selection.of_apps(EVICTED_KEYS, part);
    let pods = format!("max by ({COMPONENT}, pod) ({selector} and {})", selection.fresh(&selector));
    format!("count by ({COMPONENT}) ({pods})")
}

fn hits(selection: &Selection, part: &Part<'_>) -> String {
    let window = display_duration(&selection.request_window);
    let selector = selection.of_apps("redis_keyspace_hits_total", part);
    format!("sum by ({COMPONENT}) ({})", once(&format!("rate({selector}[{window}])")))
}

fn hit_ratio(selection: &Selection, part: &Part<'_>) -> String {
    ratio_of_hits(selection, part, &format!("[{}]", display_duration(&NOW)))
}

fn earlier_hit_ratio(selection: &Selection, part: &Part<'_>) -> String {
    let (before, now) = (display_duration(&BEFORE), display_duration(&NOW));
    ratio_of_hits(selection, part, &format!("[{before}] offset {now}"))
}

/// Only commands that read a key count.
fn ratio_of_hits(selection: &Selection, part: &Part<'_>, range: &str) -> String {
    let rate = |series: &str| {
        let selector = selection.of_apps(series, part);
        format!("sum by ({COMPONENT}) ({})", once(&format!("rate({selector}{range})")))
    };
    let (hits, misses) = (rate("redis_keyspace_hits_total"), rate("redis_keyspace_misses_total"));
    format!("{hits} / ({hits} + {misses})")
}

fn used_memory(selection: &Selection, part: &Part<'_>) -> String {
    let sum = |series: &str| {
        let selector = selection.of_apps(series, part);
        format!("sum by ({COMPONENT}) ({})", once(&format!("{selector} and {}", selection.fresh(&selector))))
    };
    format!("{} / {}", sum("redis_memory_used_bytes"), sum("redis_memory_max_bytes"))
}

/// A shard without any such command has no series of them, so one that reports its evictions counts as unused.
fn shard_commands(selection: &Selection, part: &Part<'_>) -> String {
    let window = display_duration(&selection.request_window);
    let commands = selection.of_apps_where("redis_commands_total", NOT_OF_CONSUMERS, part);
    let reports = selection.of_apps(EVICTED_KEYS, part);
    let fresh = selection.fresh(&reports);
    let used = format!("sum by ({SHARD}) ({})", once(&format!("rate({commands}[{window}])")));
    let reports = format!("max by ({SHARD}) ({reports} and {fresh})");
    format!("{used} and {reports} or 0 * {reports}")
}

fn shard_data(selection: &Selection, part: &Part<'_>) -> String {
    let of_shard = |series: &str| {
        let selector = selection.of_apps(series, part);
        format!("max by ({SHARD}) ({selector} and {})", selection.fresh(&selector))
    };
    let (max, used) = (of_shard("redis_memory_max_bytes"), of_shard("redis_memory_used_bytes"));
    format!("{max} > {used} or {used}")
}

/// The use of a shard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShardUse {
    /// Commands of consumers per second.
    pub commands_per_second: f64,
    /// Bytes that its data has or may have; `None` if not known.
    pub data: Option<f64>,
    /// Time of the measurement.
    pub at: Timestamp,
}

/// The use of each shard, by its pod.
pub type ByShard = HashMap<NamespacedName, ShardUse>;

/// The use of each shard. A partial answer is none.
fn shard_uses(now: Timestamp, outcome: &Outcome<'_>, data: &Outcome<'_>) -> ByShard {
    if outcome.is_partial {
        return ByShard::new();
    }
    let data: HashMap<_, _> =
        data.data.series().filter_map(|(labels, bytes)| Some((labels.pod_name()?, bytes))).collect();
    let used = outcome.data.series().filter_map(|(labels, rate)| {
        let (namespace, pod) = labels.pod_name().filter(|_| rate.is_finite())?;
        Some((
            NamespacedName::new(namespace, pod),
            ShardUse { commands_per_second: rate, data: data.get(&(namespace, pod)).copied(), at: now },
        ))
    });
    used.collect()
}

fn read(
    evidence: &mut Measurements,
    sampling: &Sampling<'_>,
    answers: &mut TemplateAnswers<'_>,
) -> Result<(), Misread> {
    let shards = shard_uses(sampling.now, answers.take(SHARD_COMMANDS)?, answers.take(SHARD_DATA)?);
    renew_pods(&mut evidence.shards, sampling.part, shards, |pod| (pod.namespace(), pod.name()));
    let outcomes = [EVICTIONS, EVICTIONS_AGE, SHARDS, HIT_RATIO, EARLIER_HIT_RATIO, USED_MEMORY, HITS];
    let mut is_partial = false;
    let mut by_component = Vec::with_capacity(outcomes.len());
    for template in outcomes {
        let outcome = answers.take(template)?;
        is_partial |= outcome.is_partial;
        by_component.push(outcome.data.by_component());
    }
    let mut measured = HashMap::new();
    let [evictions, ages, shards, ratios, earlier, memory, hits] = by_component.as_slice() else {
        return Ok(());
    };
    for (named, per_second) in evictions {
        let Some((key, _)) = sampling.wanted.components().get_key_value(named) else { continue };
        // Without a read in its window a ratio is not a number.
        let ratio = |of: Option<&f64>| of.copied().filter(|ratio| ratio.is_finite());
        let at = ages.get(named).and_then(|age| taken(sampling.now, *age));
        let reading = CacheReading {
            at,
            shards: shards.get(named).map_or(0, |shards| *shards as u32),
            evictions_per_second: *per_second,
            hits_per_second: ratio(hits.get(named)),
            hit_ratio: ratio(ratios.get(named)),
            earlier_hit_ratio: ratio(earlier.get(named)),
        };
        let value = CacheUse { reading, used_memory: ratio(memory.get(named)) };
        measured.insert(key.clone(), Measured { value, at, scraped: None, is_partial });
    }
    renew(&mut evidence.caches, sampling.part, measured);
    Ok(())
}
