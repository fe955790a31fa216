//! What can be set about the database, and its limits. No I/O.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;

use crate::parse::{duration, whole_number};
use crate::secret::Secret;

const MINUTE: Duration = Duration::from_secs(60);

/// Where the database is and how much of it one process may take.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs {
    /// The primary: postgres://user:password@host:5432/name. Add ?sslmode=require for TLS with a verified certificate.
    #[arg(id = "database-url", long, env = "DATABASE_MAIN_URL", global = true)]
    pub url: Option<Secret>,

    /// The replicas, if there are any: reads go there.
    #[arg(id = "database-read-url", long, env = "DATABASE_MAIN_READ_URL", global = true)]
    pub read_url: Option<Secret>,

    /// Most connections to the primary.
    #[arg(id = "database-pool", long, env = "DATABASE_MAIN_POOL", default_value = "10", value_parser = pool_size, global = true)]
    pub pool: usize,

    /// Most connections to the replicas.
    #[arg(id = "database-read-pool", long, env = "DATABASE_MAIN_READ_POOL", default_value = "10", value_parser = pool_size, global = true)]
    pub read_pool: usize,

    /// How long a request waits for a connection before it is refused with 503.
    #[arg(long, env = "DATABASE_ACQUIRE_TIMEOUT", default_value = "250ms", value_parser = timeout, global = true)]
    pub database_acquire_timeout: Duration,

    /// How long a statement may run on the server.
    #[arg(long, env = "DATABASE_STATEMENT_TIMEOUT", default_value = "2s", value_parser = timeout, global = true)]
    pub database_statement_timeout: Duration,

    /// How far a replica may be behind and still answer reads.
    #[arg(long, env = "DATABASE_MAX_LAG", default_value = "5s", value_parser = timeout, global = true)]
    pub database_max_lag: Duration,

    /// How long a read waits for a replica to show the client's own last write, before it goes to the primary.
    #[arg(long, env = "DATABASE_REPLAY_WAIT", default_value = "100ms", value_parser = timeout, global = true)]
    pub database_replay_wait: Duration,

    /// Most reads that the primary answers at the same time in place of a replica; by default half of its pool.
    #[arg(long, env = "DATABASE_PRIMARY_FALLBACK", global = true)]
    database_primary_fallback: Option<NonZeroUsize>,
}

impl DatabaseArgs {
    /// Most reads that the primary answers at the same time in place of a replica.
    pub(super) fn primary_fallback(&self) -> usize {
        self.database_primary_fallback.map_or((self.pool / 2).max(1), NonZeroUsize::get)
    }
}

/// The size of a pool, or what to write.
pub(super) fn pool_size(text: &str) -> Result<usize, String> {
    whole_number(text, 1..=1000)
}

fn timeout(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_millis(1)..=MINUTE, "from 1ms to 1m, for example 250ms")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_value_within_its_bounds_or_refused_in_words(
            text in "[-+]?[0-9]{1,25}(\\.[0-9]{1,12})?(ns|us|ms|s|m|h)?|.*",
        ) {
            match timeout(&text) {
                Ok(time) => prop_assert!((Duration::from_millis(1)..=MINUTE).contains(&time)),
                Err(reason) => prop_assert!(reason.contains("for example 250ms")),
            }
            match pool_size(&text) {
                Ok(size) => prop_assert!((1..=1000).contains(&size)),
                Err(reason) => prop_assert!(reason.contains("from 1 to 1000")),
            }
        }
    }
}
