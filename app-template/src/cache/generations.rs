//! How often keys were invalidated in this process. Pure.
//!
//! A value is kept under its key and the key's generation. An invalidation moves the generation on, so that
//! neither an old value nor one whose filling began before can be found again, whenever it arrives.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A key shares its generation with about one in a thousand others. They are filled anew without need; in
/// return there is nothing to clean up.
const STRIPES: usize = 1024;

#[derive(Debug)]
pub(super) struct Generations {
    stripes: Box<[Stripe]>,
    hash: RandomState,
    begun: Instant,
}

#[derive(Debug, Default)]
struct Stripe {
    generation: AtomicU64,
    /// Milliseconds from `begun` to the last invalidation of a key; 0 if there was none.
    invalidated: AtomicU64,
}

impl Generations {
    pub(super) fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
            hash: RandomState::new(),
            begun: Instant::now(),
        }
    }

    pub(super) fn of(&self, key: &str) -> u64 {
        self.stripe(key).map_or(0, |stripe| stripe.generation.load(Ordering::SeqCst))
    }

    /// From when this returns on, nothing is found that was kept under `key`, or began to be filled, before.
    pub(super) fn advance(&self, key: &str) {
        if let Some(stripe) = self.stripe(key) {
            stripe.invalidated.store(self.milliseconds().max(1), Ordering::SeqCst);
            stripe.generation.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// As if every key had been invalidated a long time ago.
    pub(super) fn advance_all(&self) {
        for stripe in &self.stripes {
            stripe.generation.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether `key` was invalidated within the last `time`.
    pub(super) fn invalidated_within(&self, time: Duration, key: &str) -> bool {
        let last = self.stripe(key).map_or(0, |stripe| stripe.invalidated.load(Ordering::SeqCst));
        last > 0 && self.milliseconds().saturating_sub(last) < time.as_millis() as u64
    }

    fn milliseconds(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    fn stripe(&self, key: &str) -> Option<&Stripe> {
        self.stripes.get(self.hash.hash_one(key) as usize % STRIPES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_invalidation_is_remembered_for_a_while_and_a_flush_is_none() {
        let generations = Generations::new();
        let recent = || generations.invalidated_within(Duration::from_secs(5), "a");
        generations.advance_all();
        assert!(!recent());
        generations.advance("a");
        assert!(recent());
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(!recent());
    }
}
