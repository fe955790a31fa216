//! Pools as large as they are told to be, also while they are in use. I/O: reads the settings.
//!
//! How many connections a pod may have depends on how many pods there are, which whoever scales them knows.

use super::args::{DatabaseArgs, pool_size};
use super::pool::Pool;
use super::servers::Database;
use crate::settings::Settings;

const WRITE_POOL: &str = "DATABASE_MAIN_POOL";
const READ_POOL: &str = "DATABASE_MAIN_READ_POOL";

/// What was last refused of each size.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    refused_of_write: Option<String>,
    refused_of_read: Option<String>,
}

impl Sizes {
    /// Gives each pool the size of its setting.
    pub(super) async fn apply(&mut self, database: &Database, settings: &Settings, args: &DatabaseArgs) {
        let write = (&database.0.primary, args.pool);
        apply(settings, WRITE_POOL, write, &mut self.refused_of_write).await;
        if let Some(replicas) = database.replicas() {
            let read = (replicas.pool(), args.read_pool);
            apply(settings, READ_POOL, read, &mut self.refused_of_read).await;
        }
    }
}

/// The size that the pool for writes begins with: no connection is opened beyond it, not even for a moment.
pub(super) fn at_start(settings: &Settings, args: &DatabaseArgs) -> usize {
    let size = settings.read_at_start(WRITE_POOL).and_then(|text| pool_size(&text).ok());
    size.unwrap_or(args.pool)
}

/// The size that a pool for reads begins with.
pub(super) async fn of_reads(settings: &Settings, args: &DatabaseArgs) -> usize {
    let size = settings.read(READ_POOL).await.and_then(|text| pool_size(&text).ok());
    size.unwrap_or(args.read_pool)
}

/// Without a setting the pool has the size of the arguments; one that cannot be read changes nothing.
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
