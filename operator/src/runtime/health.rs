//! Whether the process works: the tick loop's heartbeat, and whether the watches have their first lists. Pure but for the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::clock;

/// A tick loop without a heartbeat for this long hangs: twelve ticks at the default.
pub const HEARTBEAT_BOUND: Duration = Duration::from_secs(60);

/// The state behind `/livez` and `/readyz`. Clones share one state.
#[derive(Clone, Debug)]
pub struct Health {
    beat: Arc<watch::Sender<Instant>>,
    synced: Arc<AtomicBool>,
}

impl Default for Health {
    /// The start of the process counts as the first heartbeat.
    fn default() -> Self {
        Self { beat: Arc::new(watch::Sender::new(clock::monotonic())), synced: Arc::default() }
    }
}

impl Health {
    /// Called by the tick loop in each iteration, on a leader and on a standby.
    pub fn beat(&self) {
        self.beat.send_replace(clock::monotonic());
    }

    /// Called once every watch has its first list.
    pub fn mark_synced(&self) {
        self.synced.store(true, Ordering::Release);
    }

    /// Whether the last heartbeat is younger than [`HEARTBEAT_BOUND`].
    pub fn is_live(&self) -> bool {
        self.beat.borrow().elapsed() < HEARTBEAT_BOUND
    }

    /// Whether every watch has its first list. Leader and standby are equally ready.
    pub fn is_ready(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_tick_loop_is_not_live() {
        let health = Health::default();
        assert!(health.is_live());
        tokio::time::advance(HEARTBEAT_BOUND).await;
        assert!(!health.is_live());
        health.beat();
        assert!(health.is_live());
    }

    #[tokio::test]
    async fn ready_means_that_the_watches_are_synced() {
        let health = Health::default();
        assert!(!health.is_ready());
        health.mark_synced();
        assert!(health.is_ready());
    }
}
