//! How often keys were invalidated in this process. Pure.
//!
//! A value is kept under its key and the key's generation. An invalidation moves the generation on, so that neither
//! an old value nor one whose filling began before can be found again, whenever it arrives.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// A key shares its generation with about one in a thousand others. They are filled anew without need; in return
/// there is nothing to clean up.
const STRIPES: usize = 1024;

#[derive(Debug)]
pub(super) struct Generations {
    stripes: Box<[AtomicU64]>,
    hash: RandomState,
}

impl Generations {
    pub(super) fn new() -> Self {
        Self { stripes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(), hash: RandomState::new() }
    }

    pub(super) fn of(&self, key: &str) -> u64 {
        self.stripe(key).map_or(0, |stripe| stripe.load(Ordering::SeqCst))
    }

    /// From when this returns on, nothing is found that was kept under `key`, or began to be filled, before.
    pub(super) fn advance(&self, key: &str) {
        if let Some(stripe) = self.stripe(key) {
            stripe.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn advance_all(&self) {
        for stripe in &self.stripes {
            stripe.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn stripe(&self, key: &str) -> Option<&AtomicU64> {
        self.stripes.get(self.hash.hash_one(key) as usize % STRIPES)
    }
}
