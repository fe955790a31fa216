//! The shards as the caches use them, while processes may have different lists of them. I/O: Redis.
//!
//! Settings reach each process at another time. Lists that are in use at the same time must have a shard in common; the
//! promise of the cache then holds through the change:
//!
//! - Each process is subscribed on all its shards, and tells all of them of an invalidation. So a value that any of
//!   them holds is removed there before `invalidate` returns, whether it is the key's home or was or will be.
//! - A shard that only others have is told by them: each message names the shards that were told, and whoever hears it
//!   tells those of its own that were not. If that fails, the shard is doubted.
//! - A shard is used only once it is clear: a process that adds it, or doubts it, first removes all values and leases
//!   that it holds. This process may have invalidated some of them while it did not have the shard. It also leaves there
//!   the place of the latest change that it knows, since the shard was not told of each.
//! - A process uses none before it has tried to subscribe on all: the others could not tell it what to pass on.
//!
//! Until a shard is used its keys are loaded from their source, and kept in the process only. A process that starts has
//! invalidated nothing, and clears nothing: what it finds on a shard that no other process has yet runs out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::future::{join, join_all};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::generations::Generations;
use super::shared::{self, PATIENCE};
use crate::position::ReadAfter;
use crate::rendezvous::{Located, Shards, fingerprint};
use crate::shard::{Shard, StoreError};
use crate::shared_store::Listed;

/// A shard, and whether the caches use it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) shard: Arc<Shard>,
    /// As in messages.
    name: String,
    /// A subscription was made, or failed.
    pub(super) was_tried: AtomicBool,
    /// Whether all others of its list had been tried.
    hears: AtomicBool,
    /// How often it was doubted, and how many of these times are settled.
    doubts: AtomicU64,
    settled: AtomicU64,
    doubted: Notify,
}

/// The shards of one list.
#[derive(Debug)]
pub(super) struct Members {
    shards: Shards<Arc<Member>>,
    /// Their names, separated by commas.
    names: String,
}

impl Located for Arc<Member> {
    fn endpoint(&self) -> &str {
        self.shard.endpoint()
    }
}

impl Member {
    fn new(shard: &Arc<Shard>, doubts: u64) -> Arc<Self> {
        Arc::new(Self {
            shard: Arc::clone(shard),
            name: format!("{:08x}", fingerprint(shard.endpoint())),
            was_tried: AtomicBool::new(false),
            hears: AtomicBool::new(false),
            doubts: AtomicU64::new(doubts),
            settled: AtomicU64::new(0),
            doubted: Notify::new(),
        })
    }

    fn is_clear(&self) -> bool {
        self.settled.load(Ordering::SeqCst) == self.doubts.load(Ordering::SeqCst)
    }

    /// What the shard holds may be outdated.
    fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::SeqCst);
        self.doubted.notify_one();
    }

    /// Clears the shard whenever it is doubted.
    pub(super) async fn keep_clear(&self, generations: &Generations) {
        loop {
            let doubts = self.doubts.load(Ordering::SeqCst);
            if self.is_clear() {
                self.doubted.notified().await;
                continue;
            }
            match shared::clear(&self.shard, generations.latest()).await {
                Ok(()) => self.settled.store(doubts, Ordering::SeqCst),
                Err(error) => {
                    tracing::debug!(%error, "a shard is not used yet");
                    sleep(PATIENCE.mul_f64(fastrand::f64())).await;
                }
            }
        }
    }
}

impl Members {
    /// Those that the process begins with: it has invalidated nothing yet.
    pub(super) fn first(listed: &Listed) -> Self {
        Self::made(listed, |shard| Member::new(shard, 0))
    }

    /// Those of another list: shards that stay are used on.
    pub(super) fn next(&self, listed: &Listed) -> Self {
        Self::made(listed, |shard| {
            let stays = self.shards.iter().find(|member| Arc::ptr_eq(&member.shard, shard));
            stays.map_or_else(|| Member::new(shard, 1), Arc::clone)
        })
    }

    fn made(listed: &Listed, mut make: impl FnMut(&Arc<Shard>) -> Arc<Member>) -> Self {
        let shards = listed.map(|shard| make(shard));
        let names: Vec<&str> = shards.iter().map(|member| member.name.as_str()).collect();
        Self { names: names.join(","), shards }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.shards.iter()
    }

    /// The shard for the values of `key`, if it is used by now.
    pub(super) fn used_home(&self, key: &str) -> Option<&Shard> {
        let home = self.shards.home(key);
        (home.is_clear() && self.hears(home)).then_some(&home.shard)
    }

    /// Whether the process hears what it has to pass on to `member`. All lists have an only shard, and tell it.
    fn hears(&self, member: &Member) -> bool {
        let is_only = self.shards.iter().nth(1).is_none();
        if is_only || member.hears.load(Ordering::Relaxed) {
            return true;
        }
        let were_tried = self.shards.iter().all(|other| other.was_tried.load(Ordering::SeqCst));
        if were_tried {
            member.hears.store(true, Ordering::Relaxed);
        }
        were_tried
    }

    /// Tells all shards that a change made `key` outdated.
    ///
    /// # Errors
    /// When its home could not be told. What another holds of it, from an earlier list, runs out.
    pub(super) async fn tell(&self, key: &str, change: ReadAfter) -> Result<(), StoreError> {
        let home = self.shards.home(key);
        let others = self.shards.iter().filter(|member| !Arc::ptr_eq(member, home));
        let tell = |member: &Arc<Member>| {
            let shard = Arc::clone(&member.shard);
            async move { shared::invalidate(&shard, key, change, Some(&self.names)).await }
        };
        let (told, others) = join(tell(home), join_all(others.map(tell))).await;
        for error in others.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "a shard was not told of a change");
        }
        told
    }

    /// Those that a process with the shards `told` does not have.
    pub(super) fn untold(&self, told: &str) -> Vec<Arc<Member>> {
        let is_untold = |member: &&Arc<Member>| told.split(',').all(|name| name != member.name);
        self.shards.iter().filter(is_untold).cloned().collect()
    }
}

/// Tells `members` of a change that another process, which does not have them, has told the others of.
pub(super) async fn pass_on(members: Vec<Arc<Member>>, key: &str, change: ReadAfter) {
    for member in members {
        if let Err(error) = shared::invalidate(&member.shard, key, change, None).await {
            tracing::debug!(%error, "a shard was not told of another process's change, and is cleared");
            member.doubt();
        }
    }
}
