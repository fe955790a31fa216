//! Which shard has a key: the one of the highest weight for it (rendezvous hashing). Pure.
//!
//! The weight is the SHA-256 of the shard's endpoint, a zero byte and the key: the same in every process and version. A
//! shard that is added to N takes one of N + 1 keys, evenly from all others; one that is removed leaves its keys evenly
//! to the rest. No other key moves. Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
//! IEEE/ACM Transactions on Networking 6(1), 1998.

use std::iter::once;

use sha2::{Digest, Sha256};

/// What is told apart by its endpoint, `host:port`.
pub(crate) trait Located {
    fn endpoint(&self) -> &str;
}

/// Those among which keys are spread; at least one.
#[derive(Debug, Clone)]
pub(crate) struct Shards<T> {
    first: T,
    rest: Vec<T>,
}

impl<T> Shards<T> {
    /// One that has all keys.
    pub(crate) fn one(only: T) -> Self {
        Self { first: only, rest: Vec::new() }
    }

    /// None of nothing.
    pub(crate) fn of(all: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut all = all.into_iter();
        all.next().map(|first| Self { first, rest: all.collect() })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        once(&self.first).chain(&self.rest)
    }

    /// As many, each made of one of these.
    pub(crate) fn map<U>(&self, mut make: impl FnMut(&T) -> U) -> Shards<U> {
        Shards { first: make(&self.first), rest: self.rest.iter().map(make).collect() }
    }

    /// The same where one may fail.
    ///
    /// # Errors
    /// The first of `make`.
    pub(crate) fn try_map<U, E>(&self, mut make: impl FnMut(&T) -> Result<U, E>) -> Result<Shards<U>, E> {
        Ok(Shards { first: make(&self.first)?, rest: self.rest.iter().map(make).collect::<Result<_, E>>()? })
    }
}

impl<T: Located> Shards<T> {
    /// The shard that has `key`.
    pub(crate) fn home(&self, key: &str) -> &T {
        if self.rest.is_empty() {
            return &self.first;
        }
        let weight = |shard: &T| {
            let hash = Sha256::new().chain_update(shard.endpoint()).chain_update([0]);
            hash.chain_update(key).finalize()
        };
        let mut home = (&self.first, weight(&self.first));
        for shard in &self.rest {
            let weight = weight(shard);
            if weight > home.1 {
                home = (shard, weight);
            }
        }
        home.0
    }
}

/// A short name of an endpoint: the first 32 bits of its SHA-256.
pub(crate) fn fingerprint(endpoint: &str) -> u32 {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(endpoint));
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Located for String {
        fn endpoint(&self) -> &str {
            self
        }
    }

    const KEYS: usize = 1000;

    fn shards(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("cache-{number}.cache.shop.svc:6379")).collect()
    }

    fn homes(shards: &[String]) -> Vec<String> {
        let shards = Shards::of(shards.to_vec()).unwrap();
        (0..KEYS).map(|key| shards.home(&format!("cache:products:v2:{key}")).clone()).collect()
    }

    /// Five times the deviation that a share of `KEYS` has by chance.
    fn slack(share: f64) -> f64 {
        5.0 * (share * (1.0 - share) * KEYS as f64).sqrt()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn a_change_of_one_shard_moves_its_share_and_no_other_key(count in 2_usize..=64, place in any::<prop::sample::Index>()) {
            let all = shards(count);
            let mut fewer = all.clone();
            let changed = fewer.remove(place.index(count));
            let (before, after) = (homes(&fewer), homes(&all));
            let moved = before.iter().zip(&after).filter(|(one, other)| one != other);
            prop_assert!(moved.clone().all(|(_, home)| *home == changed));
            let (moved, share) = (moved.count() as f64, 1.0 / count as f64);
            prop_assert!((moved - share * KEYS as f64).abs() <= slack(share), "{moved} of {KEYS} at {count}");
        }

        #[test]
        fn each_of_any_shards_has_its_share(count in 1_usize..=64) {
            let mut counts = BTreeMap::new();
            homes(&shards(count)).into_iter().for_each(|home| *counts.entry(home).or_insert(0_usize) += 1);
            prop_assert_eq!(counts.len(), count);
            let share = 1.0 / count as f64;
            for (home, keys) in counts {
                prop_assert!((keys as f64 - share * KEYS as f64).abs() <= slack(share), "{home}: {keys} of {KEYS}");
            }
        }

        #[test]
        fn any_order_of_the_shards_is_the_same(shuffled in Just(shards(9)).prop_shuffle(), key: String) {
            let (shuffled, sorted) = (Shards::of(shuffled).unwrap(), Shards::of(shards(9)).unwrap());
            prop_assert_eq!(shuffled.home(&key), sorted.home(&key));
        }
    }

    /// Computed by another program: `printf 'ENDPOINT\0KEY' | sha256sum`.
    #[test]
    fn every_process_and_version_has_the_same_homes() {
        let shards = Shards::of(["a:1", "b:2", "c:3"].map(str::to_owned)).unwrap();
        let homes = ["five", "six", "seven", "eight"].map(|key| shards.home(key).as_str());
        assert_eq!(homes, ["b:2", "c:3", "a:1", "b:2"]);
        assert_eq!(fingerprint("a:1"), 0x2b2c_40a6);
    }
}
