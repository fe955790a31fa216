//! Pools as large as they are told to be, also while they are in use. I/O: reads the settings.
//!
//! How many connections a pod may have depends on how many pods there are, which whoever scales them knows.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::args::pool_size;
use super::pool::Pool;
use super::servers::Database;
use crate::settings::Settings;

const EVERY: Duration = Duration::from_secs(1);

/// Follows the settings for as long as the process lives.
pub(super) async fn follow(database: Database, settings: Settings) {
    let configured = |pool: &Pool| pool.status().max_size;
    let write = configured(&database.0.primary);
    let read = database.0.replicas.as_ref().map(|replicas| configured(replicas.pool()));
    let mut refused = [None, None];
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let [of_write, of_read] = &mut refused;
        apply(&settings, "DATABASE_MAIN_POOL", (&database.0.primary, write), of_write).await;
        if let (Some(replicas), Some(read)) = (&database.0.replicas, read) {
            apply(&settings, "DATABASE_MAIN_READ_POOL", (replicas.pool(), read), of_read).await;
        }
    }
}

/// Without a setting the pool has the size that it began with; one that cannot be read changes nothing.
async fn apply(
    settings: &Settings,
    name: &'static str,
    (pool, configured): (&Pool, usize),
    refused: &mut Option<String>,
) {
    let text = settings.read(name).await;
    let size = match text.as_deref().map(pool_size) {
        None => configured,
        Some(Ok(size)) => size,
        Some(Err(reason)) => {
            if *refused != text {
                tracing::warn!(name, text, reason, "a setting cannot be used");
                *refused = text;
            }
            return;
        }
    };
    *refused = None;
    if pool.status().max_size != size {
        pool.resize(size);
        tracing::info!(name, size, "the pool has another size");
    }
}
