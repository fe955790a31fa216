//! How many shards a cache has while keys are evicted.

use crate::fixture::{Component, cpu, metric};
use crate::{effect, value};
use scalableapp_engine::ComponentDecision;
use scalableapp_engine::evidence::cache::CacheReading;
use scalableapp_engine::hpa::behavior::{Limit, Policy};
use scalableapp_engine::propose::metric::Target;
use scalableapp_engine::reason;
use scalableapp_engine::state::ShardMemory;

/// A cache of three shards with this CPU, in thousandths of a core of one: the target is 700.
fn cache(cpu_milli: i64) -> Component {
    let mut cache = Component::new(3, &[cpu(70), metric("evictions", Target::Evictions)]);
    let policies = vec![Policy { limit: Limit::Pods(1), period_seconds: 300 }];
    cache.behavior.scale_up.policies.clone_from(&policies);
    cache.behavior.scale_down.policies = policies;
    cache.behavior.scale_down.stabilization_window_seconds = 0;
    cache.uses_cpu(cpu_milli);
    cache
}

fn evicts(cache: &mut Component, per_second: f64, hit_ratio: f64) -> &mut Component {
    let reading = CacheReading {
        at: Some(cache.now),
        shards: 3,
        evictions_per_second: per_second,
        hits_per_second: None,
        hit_ratio: Some(hit_ratio),
        earlier_hit_ratio: Some(0.9),
    };
    cache.caches.insert("evictions".to_owned(), reading);
    cache
}

#[test]
fn no_shard_leaves_while_keys_are_evicted() {
    let mut cache = cache(100);
    let decision = evicts(&mut cache, 2.5, 0.9).decide();
    assert_eq!((decision.desired, decision.limited_by.clone()), (3, vec![reason::KEYS_ARE_EVICTED]));
    let bounds = effect(&decision, "bounds");
    assert!(bounds.contains("the eviction of keys (2.5/s)"), "{bounds}");
    assert_eq!(value(&decision, "evictions"), "2.5/s evicted; the hit ratio has not fallen");
    assert_eq!(evicts(&mut cache, 1e-9, 0.9).decide().desired, 3, "however few");
    assert_eq!(evicts(&mut cache, 0.0, 0.9).decide().desired, 2);
}

#[test]
fn no_shard_leaves_while_it_is_not_known_whether_keys_are_evicted() {
    let mut cache = cache(100);
    assert_eq!(cache.decide().desired, 3, "absent is not zero");
    evicts(&mut cache, 0.0, 0.9).caches.get_mut("evictions").expect("a reading").shards = 2;
    assert_eq!(cache.decide().desired, 3, "one shard does not report");
    for broken in [f64::NAN, f64::INFINITY, -1.0] {
        assert_eq!(evicts(&mut cache, broken, 0.9).decide().desired, 3, "{broken}");
    }
}

#[test]
fn evicted_keys_that_are_missed_ask_for_one_more_shard() {
    let mut cache = cache(700);
    assert_eq!(evicts(&mut cache, 2.5, 0.87).decide().desired, 4);
    assert_eq!(evicts(&mut cache, 2.5, 0.885).decide().desired, 3, "within the noise");
    assert_eq!(evicts(&mut cache, 0.0, 0.5).decide().desired, 3, "misses of keys that never were there");
    assert_eq!(evicts(&mut cache, 2.5, 0.95).decide().desired, 3, "a full cache is no problem by itself");
}

#[test]
fn a_cache_grows_by_one_shard_in_five_minutes() {
    let mut cache = cache(700);
    let mut sizes = Vec::new();
    for _ in 0..5 {
        evicts(&mut cache, 2.5, 0.8);
        let reading = cache.caches.get_mut("evictions").expect("a reading");
        reading.shards = 20;
        cache.uses_cpu(700);
        sizes.push(cache.act().desired);
        cache.later(120);
    }
    assert_eq!(sizes, [4, 4, 4, 5, 5]);
}

#[test]
fn what_a_cache_was_decided_on_is_recorded() {
    let mut cache = cache(100);
    assert!(evicts(&mut cache, 2.5, 0.8).record().replays());
}

#[test]
fn the_explanation_says_what_hits_save() {
    let mut cache = cache(700);
    evicts(&mut cache, 2.5, 0.9).caches.get_mut("evictions").expect("a reading").hits_per_second =
        Some(120.25);
    let expected = "2.5/s evicted; the hit ratio has not fallen; 120.25 hits/s save a query each";
    assert_eq!(value(&cache.decide(), "evictions"), expected);
}

const MIB: i64 = 1 << 20;

/// A cache of three shards of 64 MiB, which may have 200 MiB each, with a process that has run for a while.
fn growing(cpu_milli: i64) -> Component {
    let mut cache = cache(cpu_milli);
    cache.max_memory = Some(200 * MIB);
    cache.shard_memory = Some(ShardMemory { bytes: 64 * MIB, is_given: true, is_refused: false });
    evicts(&mut cache, 0.0, 0.9).act();
    cache.later(300).uses_cpu(cpu_milli);
    cache
}

fn grows_to(decision: &ComponentDecision) -> Option<i64> {
    decision.memory.map(|change| change.bytes / MIB)
}

fn observed(cache: &mut Component) -> &mut ShardMemory {
    cache.shard_memory.as_mut().expect("a cache")
}

#[test]
fn where_only_memory_is_short_it_grows_before_shards_are_added() {
    let mut cache = growing(600);
    let mut sizes = Vec::new();
    for _ in 0..6 {
        evicts(&mut cache, 2.5, 0.8);
        cache.uses_cpu(600);
        let decision = cache.act();
        sizes.push((grows_to(&decision), decision.desired));
        cache.later(300);
    }
    let expected = [(Some(96), 3), (Some(144), 3), (Some(200), 3), (None, 4)];
    assert_eq!(sizes[..4], expected, "half as much again up to the maximum, then a shard");
}

#[test]
fn memory_grows_once_in_five_minutes_and_not_before_every_shard_has_it() {
    let mut cache = growing(600);
    assert_eq!(grows_to(&evicts(&mut cache, 2.5, 0.8).act()), Some(96));
    cache.later(299).uses_cpu(600);
    let waits = evicts(&mut cache, 2.5, 0.8).decide();
    assert_eq!((waits.memory, waits.desired), (None, 3), "nor is a shard added meanwhile");
    assert_eq!(value(&waits, "evictions"), "2.5/s evicted; more memory has no effect yet");
    cache.later(1).uses_cpu(600);
    observed(&mut cache).is_given = false;
    assert_eq!(evicts(&mut cache, 2.5, 0.8).decide().memory, None);
    observed(&mut cache).is_given = true;
    assert_eq!(grows_to(&cache.decide()), Some(144));
}

#[test]
fn a_busy_cpu_asks_for_a_shard_and_not_for_memory() {
    let mut cache = growing(600);
    cache.uses_cpu(900);
    let decision = evicts(&mut cache, 2.5, 0.8).decide();
    assert_eq!((decision.memory, decision.desired), (None, 4));
    let mut unknown = growing(600);
    unknown.all_pods_ready();
    assert_eq!(evicts(&mut unknown, 2.5, 0.8).decide().memory, None, "its CPU is not known");
}

#[test]
fn where_the_cluster_refuses_memory_a_shard_is_added() {
    let mut cache = growing(600);
    observed(&mut cache).is_refused = true;
    assert_eq!(evicts(&mut cache, 2.5, 0.8).act().desired, 4);
    observed(&mut cache).is_refused = false;
    cache.later(3599).uses_cpu(600);
    evicts(&mut cache, 2.5, 0.8).caches.get_mut("evictions").expect("a reading").shards = 4;
    assert_eq!(cache.decide().memory, None, "not again for an hour");
    cache.later(1).uses_cpu(600);
    evicts(&mut cache, 2.5, 0.8).caches.get_mut("evictions").expect("a reading").shards = 4;
    assert_eq!(grows_to(&cache.decide()), Some(96));
}

#[test]
fn a_restart_does_not_hasten_a_growth_of_memory() {
    let mut cache = growing(600);
    cache.restart();
    assert_eq!(evicts(&mut cache, 2.5, 0.8).act().memory, None);
    cache.later(300).uses_cpu(600);
    assert_eq!(grows_to(&evicts(&mut cache, 2.5, 0.8).decide()), Some(96));
}

#[test]
fn memory_grows_for_no_other_reason() {
    let mut cache = growing(600);
    assert_eq!(evicts(&mut cache, 2.5, 0.9).decide().memory, None, "a full cache is no problem by itself");
    assert_eq!(evicts(&mut cache, 0.0, 0.5).decide().memory, None, "misses of keys that never were there");
    evicts(&mut cache, 2.5, 0.8).caches.clear();
    assert_eq!(cache.decide().memory, None, "absent is not zero");
    cache.max_memory = None;
    assert_eq!(evicts(&mut cache, 2.5, 0.8).decide().desired, 4);
}
