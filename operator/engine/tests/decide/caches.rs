//! How many shards a cache has while keys are evicted.

use crate::fixture::{Component, cpu, metric};
use crate::{effect, value};
use scalableapp_engine::evidence::cache::CacheReading;
use scalableapp_engine::hpa::behavior::{Limit, Policy};
use scalableapp_engine::propose::metric::Target;
use scalableapp_engine::reason;

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
