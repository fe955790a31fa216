//! How often keys were invalidated in this process, and from where they may be loaded since. Pure.
//!
//! A value is kept under its key and the key's generation. An invalidation moves the generation on, so that
//! neither an old value nor one whose filling began before can be found again, whenever it arrives.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::shared::REMEMBERED;
use crate::database::ReadAfter;

/// A key shares its generation with about one in a thousand others. They are filled anew without need; in
/// return there is nothing to clean up.
const STRIPES: usize = 1024;

#[derive(Debug)]
pub(super) struct Generations {
    stripes: Box<[Stripe]>,
    hash: RandomState,
}

#[derive(Debug, Default)]
struct Stripe {
    generation: AtomicU64,
    /// When keys were last changed, and what has to be shown since.
    changed: Mutex<Option<(Instant, ReadAfter)>>,
}

impl Stripe {
    fn changed(&self) -> MutexGuard<'_, Option<(Instant, ReadAfter)>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What still has to be shown.
fn still(changed: Option<(Instant, ReadAfter)>) -> ReadAfter {
    changed.filter(|(at, _)| at.elapsed() < REMEMBERED).map_or(ReadAfter::Nothing, |(_, after)| after)
}

impl Generations {
    pub(super) fn new() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Stripe::default()).collect(), hash: RandomState::new() }
    }

    pub(super) fn of(&self, key: &str) -> u64 {
        self.stripe(key).map_or(0, |stripe| stripe.generation.load(Ordering::SeqCst))
    }

    /// From when this returns on, nothing is found that was kept under `key`, or began to be filled, before; and what
    /// is loaded shows `change`.
    pub(super) fn advance(&self, key: &str, change: ReadAfter) {
        if let Some(stripe) = self.stripe(key) {
            let mut changed = stripe.changed();
            // Messages may come in another order than the changes that they tell of.
            *changed = Some((Instant::now(), still(*changed).max(change)));
            stripe.generation.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// As if every key had been invalidated a long time ago.
    pub(super) fn advance_all(&self) {
        for stripe in &self.stripes {
            stripe.generation.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What has to be shown by whatever is loaded for `key`.
    pub(super) fn after(&self, key: &str) -> ReadAfter {
        self.stripe(key).map_or(ReadAfter::Nothing, |stripe| still(*stripe.changed()))
    }

    fn stripe(&self, key: &str) -> Option<&Stripe> {
        self.stripes.get(self.hash.hash_one(key) as usize % STRIPES)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::database::Position;

    #[tokio::test(start_paused = true)]
    async fn the_latest_change_is_remembered_for_a_while_and_a_flush_is_none() {
        let generations = Generations::new();
        generations.advance_all();
        assert_eq!(generations.after("a"), ReadAfter::Nothing);
        for lsn in [3, 5, 4] {
            generations.advance("a", ReadAfter::At(Position::at(lsn)));
        }
        assert_eq!(generations.after("a"), ReadAfter::At(Position::at(5)));
        tokio::time::advance(REMEMBERED + Duration::from_secs(1)).await;
        assert_eq!(generations.after("a"), ReadAfter::Nothing);
    }
}
