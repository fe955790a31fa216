//! Cache-aside in two tiers: this process, then Redis. I/O: Redis.
//!
//! - A value is loaded by one of those who wait for it, in this process and, while Redis is there, among
//!   all of them.
//! - Once [`Cache::invalidate`] has returned, no `get` of this process that begins later finds what was
//!   valid before, from neither tier, whichever process filled it and however late. Other processes learn
//!   of it from Redis at once, and by the end of the local lifetime (at most a second) if that message is
//!   lost.
//! - All this holds while shards of Redis are added and removed, too (`members`).
//! - What goes wrong with Redis is a miss, and takes at most 50 ms. A shard that is dead costs its own keys that.

mod follow;
mod generations;
mod lifetime;
mod listener;
mod members;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use metrics::{Counter, counter};
use moka::Expiry;
use moka::future::Cache as LocalCache;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::position::ReadAfter;
use crate::shard::{Shard, StoreError};
use crate::shared_store::SharedStore;
use generations::Generations;
use lifetime::{Lifetime, jittered};
use members::Members;
use shared::{Found, Lease, PREFIX};

/// How many values of a cache a process keeps.
const CAPACITY: u64 = 10_000;

/// What all caches of the process have in common: Redis, if there is one, and who is told of invalidations.
#[derive(Debug, Clone)]
pub(crate) struct Caches {
    members: Option<watch::Receiver<Arc<Members>>>,
    generations: Arc<Generations>,
}

impl Caches {
    /// Listens to other processes from now on; to be called on the runtime.
    pub(crate) fn new(store: Option<SharedStore>) -> Self {
        let generations = Arc::new(Generations::new());
        let members = store.map(|store| {
            let mut listed = store.listed();
            let (sender, members) = watch::channel(Arc::new(Members::first(&listed.borrow_and_update())));
            tokio::spawn(follow::run(listed, sender, Arc::clone(&generations)));
            members
        });
        Self { members, generations }
    }

    /// The shards as they are listed now.
    fn members(&self) -> Option<Arc<Members>> {
        Some(Arc::clone(&self.members.as_ref()?.borrow()))
    }

    /// A cache of its own name, whose series are shown from now on.
    ///
    /// `version` is that of the value's form. A new one keeps a new revision of the app from reading what
    /// an old one, which runs beside it, has written. `tolerance` is how old an answer may be if every
    /// invalidation gets lost.
    pub(crate) fn cache<V: Send + Sync + 'static>(
        &self,
        name: &'static str,
        version: u32,
        tolerance: Duration,
    ) -> Cache<V> {
        let lifetime = Lifetime::within(tolerance);
        Cache {
            prefix: format!("{PREFIX}{name}:v{version}:"),
            local: LocalCache::builder()
                .max_capacity(CAPACITY)
                .expire_after(Jittered(lifetime.local))
                .build(),
            shared: self.clone(),
            lifetime,
            results: Results::new(name),
        }
    }
}

/// Values of one kind, by id.
pub(crate) struct Cache<V> {
    prefix: String,
    /// By key and generation.
    local: LocalCache<(Arc<str>, u64), Arc<V>>,
    shared: Caches,
    lifetime: Lifetime,
    results: Results,
}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Cache<V> {
    /// The value of `id`, loaded by `load` if no tier has it, from where its last change is shown. Nothing may be read
    /// before `load` is polled.
    ///
    /// # Errors
    /// Those of `load`, shared by all who waited for it. They are not kept.
    pub(crate) async fn get<E: Send + Sync + 'static, F>(
        &self,
        id: &str,
        load: impl FnOnce(ReadAfter) -> F,
    ) -> Result<Arc<V>, Arc<E>>
    where
        F: Future<Output = Result<V, E>>,
    {
        let key: Arc<str> = format!("{}{id}", self.prefix).into();
        // Read before anything else: a value that is loaded from here on is kept for those who ask in this
        // generation.
        let generation = self.shared.generations.of(&key);
        let local = (Arc::clone(&key), generation);
        if let Some(value) = self.local.get(&local).await {
            self.results.hit.increment(1);
            return Ok(value);
        }
        let filled_here = AtomicBool::new(false);
        // On the heap, because it is the large part of this future, and mostly not needed.
        let fill = Box::pin(async {
            filled_here.store(true, Ordering::Relaxed);
            self.fill(&key, load).await
        });
        let value = self.local.try_get_with(local, fill).await;
        if !filled_here.load(Ordering::Relaxed) {
            self.results.coalesced.increment(1);
        }
        value
    }

    /// Makes what is kept for `id` outdated by a change; to be called after that is committed.
    ///
    /// # Errors
    /// When Redis could not be told: then other processes, and this one, may go on using the old value as
    /// long as the cache's tolerance says. Repeating is safe.
    pub(crate) async fn invalidate(&self, id: &str, change: ReadAfter) -> Result<(), StoreError> {
        let key = format!("{}{id}", self.prefix);
        loop {
            let members = self.shared.members();
            let told = match &members {
                Some(members) => members.tell(&key, change).await,
                None => Ok(()),
            };
            // After Redis: whoever fills from now on must not find the old value there.
            self.shared.generations.advance(&key, change);
            // A shard that was added meanwhile, and cleared perhaps before the change, has to be told too.
            let is_current =
                self.shared.members().zip(members).is_none_or(|(now, told)| Arc::ptr_eq(&now, &told));
            if is_current {
                return told;
            }
        }
    }

    async fn fill<E, F>(&self, key: &str, load: impl FnOnce(ReadAfter) -> F) -> Result<Arc<V>, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        let members = self.shared.members();
        let shard = members.as_ref().and_then(|members| members.used_home(key));
        let (lease, after) = match find(shard, key).await {
            Ok(Found::Value(value)) => {
                self.results.hit.increment(1);
                return Ok(value);
            }
            Ok(Found::Nothing { lease, after }) => {
                self.results.miss.increment(1);
                (lease, after)
            }
            Err(error) => {
                tracing::debug!(%error, "a miss, for want of Redis");
                self.results.error.increment(1);
                shard.iter().for_each(|shard| shard.fell_back());
                (None, ReadAfter::Nothing)
            }
        };
        let value = load(after.max(self.shared.generations.after(key))).await?;
        if let (Some(lease), Some(shard)) = (lease, shard) {
            self.store(shard, key, &lease, &value).await;
        }
        Ok(Arc::new(value))
    }

    /// What is not stored is not lost: the next who asks loads it again.
    async fn store(&self, shard: &Shard, key: &str, lease: &Lease, value: &V) {
        let bytes = match serde_json::to_vec(value) {
            Ok(bytes) => bytes,
            Err(error) => return tracing::error!(%error, key, "failed to write a cached value as JSON"),
        };
        if let Err(error) = shared::store(shard, key, lease, &bytes, jittered(self.lifetime.shared)).await {
            tracing::debug!(%error, "not stored");
        }
    }
}

async fn find<V: DeserializeOwned>(shard: Option<&Shard>, key: &str) -> Result<Found<Arc<V>>, StoreError> {
    let nothing = Found::Nothing { lease: None, after: ReadAfter::Nothing };
    let Some(shard) = shard else { return Ok(nothing) };
    Ok(match shared::find(shard, key).await? {
        // What cannot be read was written by a revision that forgot to change the version; it runs out.
        Found::Value(bytes) => {
            serde_json::from_slice(&bytes).map_or(nothing, |value| Found::Value(Arc::new(value)))
        }
        Found::Nothing { lease, after } => Found::Nothing { lease, after },
    })
}

impl<V> fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("prefix", &self.prefix)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// `cache_requests_total`, by result; each `get` that is answered counts once.
struct Results {
    /// Found in either tier.
    hit: Counter,
    /// Loaded.
    miss: Counter,
    /// Waited for another's loading.
    coalesced: Counter,
    /// Loaded, because Redis did not answer.
    error: Counter,
}

impl Results {
    fn new(cache: &'static str) -> Self {
        let shown = |result| {
            let counter = counter!("cache_requests_total", "cache" => cache, "result" => result);
            counter.absolute(0);
            counter
        };
        Self { hit: shown("hit"), miss: shown("miss"), coalesced: shown("coalesced"), error: shown("error") }
    }
}

/// Each local value runs out at a time of its own.
struct Jittered(Duration);

impl<K, V> Expiry<K, V> for Jittered {
    fn expire_after_create(&self, _key: &K, _value: &V, _created_at: Instant) -> Option<Duration> {
        Some(jittered(self.0))
    }
}

/// The integration tests have it too.
#[cfg(test)]
#[path = "../../tests/service/redis_server.rs"]
mod redis_server;
#[cfg(test)]
mod tests;
