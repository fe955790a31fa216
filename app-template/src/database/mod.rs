//! The database as the modules see it: one connection for a request, writes to the primary, reads to a replica
//! that is fresh enough. I/O: PostgreSQL.
//!
//! | file | what it owns |
//! |---|---|
//! | `args` | what can be set, and its limits |
//! | `session` | one connection and what is remembered of it |
//! | `pool` | a bounded number of sessions, and what a wait for one costs |
//! | `sizes` | pools as large as they are told to be |
//! | `query` | a statement with a name, and how long each run of it takes |
//! | `transaction` | a write, and where in the log it ended |
//! | `replicas` | which reads a replica may answer |
//! | `lag` | how far a replica is behind, in time |
//! | `watch` | looking at both servers a few times a second |
//! | `migrations` | the schema, brought up to date by whichever pod comes first |
//! | `statements` | the statements that cost the server most |

mod args;
mod error;
mod lag;
mod migrations;
mod pool;
mod query;
mod replicas;
mod session;
mod sizes;
mod statements;
mod transaction;
mod watch;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch as channel};

pub use args::DatabaseArgs;
pub(crate) use error::DatabaseError;
pub use error::OpenError;
pub(crate) use pool::Connection;
pub(crate) use query::Query;
pub(crate) use transaction::Transaction;

use crate::position::ReadAfter;
use crate::settings::Settings;
use pool::Pool;
use replicas::{Replicas, Routed};
use watch::Observed;

/// The primary and, if there are any, its replicas.
#[derive(Debug, Clone)]
pub(crate) struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    primary: Pool,
    replicas: Option<Replicas>,
    /// How many reads meant for a replica the primary answers at the same time: replicas that lag must not take
    /// the primary down.
    fallback: Arc<Semaphore>,
    observed: Observed,
    routed: Routed,
    /// Whether the schema is known to be the one that this program was written for.
    migrated: channel::Sender<bool>,
}

/// No server shows what was asked for.
struct Unserved {
    error: DatabaseError,
    /// One that shows an older state.
    stale: Option<Connection>,
}

impl From<DatabaseError> for Unserved {
    fn from(error: DatabaseError) -> Self {
        Self { error, stale: None }
    }
}

impl Database {
    /// Prepares the pools and begins to watch the servers; connects in the background only.
    ///
    /// # Errors
    /// A URL that cannot be read, or trust anchors that cannot be loaded.
    pub(crate) fn open(args: &DatabaseArgs, url: &str, settings: Settings) -> Result<Self, OpenError> {
        pool::describe();
        replicas::describe();
        let primary = Pool::open("write", (session::WRITE_URL, url), args.pool, args)?;
        let replicas = match &args.read_url {
            Some(url) => {
                let url = (session::READ_URL, url.reveal().as_str());
                Some(Replicas::new(Pool::open("read", url, args.read_pool, args)?, args))
            }
            None => None,
        };
        let database = Self(Arc::new(Inner {
            primary,
            replicas,
            fallback: Arc::new(Semaphore::new(args.primary_fallback())),
            observed: Observed::default(),
            routed: Routed::new(),
            migrated: channel::Sender::new(false),
        }));
        tokio::spawn(migrations::keep_trying(database.clone(), url.to_owned()));
        tokio::spawn(watch::run(database.clone()));
        tokio::spawn(sizes::follow(database.clone(), settings));
        tokio::spawn(statements::run(database.clone()));
        Ok(database)
    }

    /// A transaction on the primary. Dropping it rolls it back.
    pub(crate) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        Transaction::begin(self.0.primary.get().await?).await
    }

    /// A connection to the primary for single statements.
    pub(crate) async fn primary(&self) -> Result<Connection, DatabaseError> {
        self.0.primary.get().await
    }

    /// A connection that shows what `after` asks for.
    ///
    /// That is a replica's if one is up to date in time, and otherwise the primary's, for a limited number of reads
    /// at a time. Where nothing is asked for and the primary cannot help, it is a replica's beyond its allowed lag.
    pub(crate) async fn read(&self, after: ReadAfter) -> Result<Connection, DatabaseError> {
        self.fresh(after).await.or_else(|Unserved { error, stale }| {
            let stale = stale.ok_or(error)?;
            self.0.routed.count("replica", "stale");
            Ok(stale)
        })
    }

    /// The same for what is kept and shown to others later: never a replica beyond its allowed lag.
    pub(crate) async fn read_to_keep(&self, after: ReadAfter) -> Result<Connection, DatabaseError> {
        self.fresh(after).await.map_err(|unserved| unserved.error)
    }

    async fn fresh(&self, after: ReadAfter) -> Result<Connection, Unserved> {
        let Some(replicas) = &self.0.replicas else {
            let primary = self.0.primary.get().await?;
            self.0.routed.count("primary", "no_replica");
            return Ok(primary);
        };
        let behind = match replicas.connection(after, &self.0.observed).await? {
            Ok(connection) => {
                let reason = if after == ReadAfter::Nothing { "default" } else { "ryw_token" };
                self.0.routed.count("replica", reason);
                return Ok(connection);
            }
            Err(behind) => behind,
        };
        match self.primary_in_place_of_a_replica().await {
            Ok(connection) => {
                self.0.routed.count("primary", behind.reason);
                Ok(connection)
            }
            Err(error) => Err(Unserved { error, stale: behind.stale }),
        }
    }

    async fn primary_in_place_of_a_replica(&self) -> Result<Connection, DatabaseError> {
        let Ok(permit) = Arc::clone(&self.0.fallback).try_acquire_owned() else {
            return Err(DatabaseError::ReplicasBehind);
        };
        Ok(self.0.primary.get().await?.holding(permit))
    }

    /// Whether the schema is there. Once it was, it stays so, whatever becomes of the servers.
    pub(crate) fn is_migrated(&self) -> bool {
        *self.0.migrated.borrow()
    }

    /// Waits until the schema is there.
    pub(crate) async fn migrated(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.migrated.subscribe().wait_for(|migrated| *migrated).await;
    }

    /// What was last seen of each server, for `/healthz`.
    pub(crate) fn health(&self) -> Vec<Value> {
        let describe = |role: &str, pool: &Pool, seen: watch::Seen| {
            let status = pool.status();
            json!({
                "name": format!("database main, {role}"),
                "reachable": seen.reachable,
                "lagSeconds": seen.lag.map(|lag| lag.as_secs_f64()),
                "pool": { "max": status.max_size, "open": status.size, "idle": status.available, "waiting": status.waiting },
            })
        };
        let mut servers = vec![describe("primary", &self.0.primary, self.0.observed.primary())];
        if let Some(replicas) = &self.0.replicas {
            servers.push(describe("replicas", replicas.pool(), self.0.observed.replica()));
        }
        servers
    }
}
