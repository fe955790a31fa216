//! The primary and its replicas, as everybody else sees them. I/O: PostgreSQL.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::args::DatabaseArgs;
use super::error::{DatabaseError, OpenError};
use super::observed::{Observed, Seen};
use super::pool::{self, Connection, Pool};
use super::replicas::{self, Replicas, Routed};
use super::session::{WRITE_URL, config};
use super::steps::Step;
use super::transaction::Transaction;
use crate::position::ReadAfter;

/// The primary and, while there are any, its replicas.
#[derive(Debug, Clone)]
pub(crate) struct Database(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) primary: Pool,
    /// A read keeps those that it began with.
    replicas: RwLock<Option<Arc<Replicas>>>,
    /// How many reads meant for a replica the primary answers at the same time: replicas that lag must not take
    /// the primary down.
    fallback: Arc<Semaphore>,
    pub(super) observed: Observed,
    routed: Routed,
    /// Whether the schema is known to be the one that this program was written for.
    pub(super) migrated: watch::Sender<bool>,
    /// Of the schema that this program was written for.
    pub(super) steps: &'static [Step],
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
    /// Prepares the pools.
    ///
    /// # Errors
    /// A URL that cannot be read, or trust anchors that cannot be loaded.
    pub(super) fn new(args: &DatabaseArgs, url: &str, steps: &'static [Step]) -> Result<Self, OpenError> {
        pool::describe();
        replicas::describe();
        let config = config(url, WRITE_URL, args.database_statement_timeout)?;
        let primary = Pool::open("write", config, args.pool, args)?;
        let replicas = Replicas::of_url(args, steps)?.map(Arc::new);
        Ok(Self(Arc::new(Inner {
            primary,
            replicas: RwLock::new(replicas),
            fallback: Arc::new(Semaphore::new(args.primary_fallback())),
            observed: Observed::default(),
            routed: Routed::new(),
            migrated: watch::Sender::new(false),
            steps,
        })))
    }

    /// The replicas that are read from now.
    pub(super) fn replicas(&self) -> Option<Arc<Replicas>> {
        self.0.replicas.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads that begin from here on go to `replicas`, or to the primary without them.
    pub(super) fn read_from(&self, replicas: Option<Arc<Replicas>>) {
        *self.0.replicas.write().unwrap_or_else(PoisonError::into_inner) = replicas;
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
        let Some(replicas) = self.replicas() else {
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
        let describe = |role: &str, pool: &Pool, seen: Seen| {
            let status = pool.status();
            json!({
                "name": format!("database main, {role}"),
                "reachable": seen.reachable,
                "lagSeconds": seen.lag.map(|lag| lag.as_secs_f64()),
                "pool": { "max": status.max_size, "open": status.size, "idle": status.available, "waiting": status.waiting },
            })
        };
        let mut servers = vec![describe("primary", &self.0.primary, self.0.observed.primary())];
        if let Some(replicas) = self.replicas() {
            servers.push(describe("replicas", replicas.pool(), self.0.observed.replica()));
        }
        servers
    }
}
