//! How often keys were invalidated in this process, and from where they may be loaded since. Pure.
//!
//! A value is kept under its key and the key's generation. An invalidation moves the generation on, so that
//! neither an old value nor one whose filling began before can be found again, whenever it arrives.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::shared::REMEMBERED;
use crate::position::{Position, ReadAfter};

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
    changes: Mutex<Changes>,
}

/// How keys were last changed.
#[derive(Debug, Clone, Copy, Default)]
struct Changes {
    /// When, and the latest place.
    known: Option<(Instant, Position)>,
    /// When at a place that is not known. Other changes do not renew it: on a busy key it would never end.
    unknown: Option<Instant>,
}

impl Changes {
    fn add(&mut self, change: ReadAfter) {
        let now = Instant::now();
        match change {
            // Messages may come in another order than the changes that they tell of.
            ReadAfter::At(place) => {
                self.known = Some((now, self.place().map_or(place, |earlier| earlier.max(place))));
            }
            ReadAfter::Nothing | ReadAfter::Everything => self.unknown = Some(now),
        }
    }

    /// What still has to be shown.
    fn after(&self) -> ReadAfter {
        if self.unknown.is_some_and(is_remembered) {
            return ReadAfter::Everything;
        }
        self.place().map_or(ReadAfter::Nothing, ReadAfter::At)
    }

    fn place(&self) -> Option<Position> {
        self.known.filter(|(at, _)| is_remembered(*at)).map(|(_, place)| place)
    }
}

fn is_remembered(at: Instant) -> bool {
    at.elapsed() < REMEMBERED
}

impl Stripe {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            let mut changes = stripe.changes();
            changes.add(change);
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
        self.stripe(key).map_or(ReadAfter::Nothing, |stripe| stripe.changes().after())
    }

    /// What has to be shown by whatever is loaded for any key.
    pub(super) fn latest(&self) -> ReadAfter {
        self.stripes.iter().map(|stripe| stripe.changes().after()).max().unwrap_or(ReadAfter::Nothing)
    }

    fn stripe(&self, key: &str) -> Option<&Stripe> {
        self.stripes.get(self.hash.hash_one(key) as usize % STRIPES)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_latest_change_is_remembered_for_a_while_and_a_flush_is_none() {
        let generations = Generations::new();
        generations.advance_all();
        assert_eq!(generations.after("a"), ReadAfter::Nothing);
        for lsn in [3, 5, 4] {
            generations.advance("a", ReadAfter::At(Position::at(lsn)));
        }
        assert_eq!(generations.after("a"), ReadAfter::At(Position::at(5)));
        assert_eq!(generations.latest(), ReadAfter::At(Position::at(5)));
        tokio::time::advance(REMEMBERED + Duration::from_secs(1)).await;
        assert_eq!(generations.after("a"), ReadAfter::Nothing);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_at_an_unknown_place_is_over_in_its_time_on_a_key_that_goes_on_changing() {
        let generations = Generations::new();
        generations.advance("a", ReadAfter::Everything);
        for lsn in 1..=4 {
            assert_eq!(generations.after("a"), ReadAfter::Everything);
            tokio::time::advance(REMEMBERED / 4).await;
            generations.advance("a", ReadAfter::At(Position::at(lsn)));
        }
        assert_eq!(generations.after("a"), ReadAfter::At(Position::at(4)));
    }
}
