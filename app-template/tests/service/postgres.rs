//! Databases for tests, each empty, on a primary and a replica that all tests share or that one has for itself.
//! I/O: processes.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::child::{Service, command};
use crate::postgres_pair::{Pair, Server};
use crate::waiting::{eventually, until};

/// The key of the tests, for tokens and webhooks.
pub(crate) const KEY: &str = "a key of the tests that has 32 characters and more";

static PAIR: OnceLock<Arc<Pair>> = OnceLock::new();
static USE: RwLock<()> = RwLock::new(());
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// An empty database, for one test.
pub(crate) struct Database<Guard> {
    name: String,
    pair: Arc<Pair>,
    _guard: Guard,
}

/// A database while no other test has one.
pub(crate) type Exclusive = Database<RwLockWriteGuard<'static, ()>>;

/// A database beside those of other tests; whoever has it disturbs no server.
pub(crate) fn shared() -> Database<RwLockReadGuard<'static, ()>> {
    on_shared_servers(USE.read().unwrap_or_else(PoisonError::into_inner))
}

/// A database while no other test has one: the servers may be disturbed.
pub(crate) fn alone() -> Exclusive {
    on_shared_servers(USE.write().unwrap_or_else(PoisonError::into_inner))
}

/// A database on servers that nobody else has, and that need not be the same afterwards.
pub(crate) fn apart() -> Database<()> {
    database(Arc::new(Pair::start()), ())
}

fn on_shared_servers<Guard>(guard: Guard) -> Database<Guard> {
    let pair = PAIR.get_or_init(|| Arc::new(Pair::start()));
    // A test that failed may have left them disturbed.
    pair.primary.start();
    pair.replica.start();
    pair.replica.psql("postgres", "SELECT pg_wal_replay_resume()");
    database(Arc::clone(pair), guard)
}

fn database<Guard>(pair: Arc<Pair>, guard: Guard) -> Database<Guard> {
    let name = format!("test{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    pair.primary.psql("postgres", &format!("CREATE DATABASE {name}"));
    Database { name, pair, _guard: guard }
}

impl<Guard> Database<Guard> {
    pub(crate) fn primary(&self) -> &Server {
        &self.pair.primary
    }

    pub(crate) fn replica(&self) -> &Server {
        &self.pair.replica
    }

    /// The certificate of the authority that vouches for the servers, under the name `localhost`.
    pub(crate) fn authority(&self) -> PathBuf {
        self.pair.authority()
    }

    /// The URLs of the primary and of the replica, under the name that is in their certificate.
    pub(crate) fn urls_with_tls(&self) -> [String; 2] {
        [self.primary(), self.replica()].map(|server| {
            format!("postgres://postgres@localhost:{}/{}?sslmode=require", server.port, self.name)
        })
    }

    /// What a statement returns on the primary, columns separated by `|`.
    pub(crate) fn sql(&self, statement: &str) -> String {
        self.primary().psql(&self.name, statement)
    }

    /// The same on the replica.
    pub(crate) fn sql_on_replica(&self, statement: &str) -> String {
        self.replica().psql(&self.name, statement)
    }

    /// Asks the primary until it returns this.
    pub(crate) fn wait_until(&self, statement: &str, result: &str) {
        eventually(|| {
            let now = self.sql(statement);
            if now == result { Ok(()) } else { Err(format!("{statement}: {now}")) }
        });
    }

    /// A URL with the replica before the primary.
    pub(crate) fn url_of_both(&self) -> String {
        let (replica, primary) = (self.replica().port, self.primary().port);
        format!("postgres://postgres@127.0.0.1:{replica},127.0.0.1:{primary}/{}", self.name)
    }

    /// Locks the products against everybody, until the lock is dropped.
    pub(crate) fn lock_products(&self) -> Lock {
        let mut psql = self.primary().client(&self.name);
        psql.args(["-c", "BEGIN; LOCK TABLE catalog.products; SELECT pg_sleep(60)"]);
        let lock = Lock(psql.stdout(Stdio::null()).spawn().unwrap());
        let granted = "SELECT count(*) FROM pg_locks WHERE relation = 'catalog.products'::regclass \
                       AND mode = 'AccessExclusiveLock' AND granted";
        until("the products are not locked", || self.sql(granted) != "0");
        lock
    }

    /// The arguments of a service that uses the primary, and the replica if `reads` says so.
    pub(crate) fn command(&self, reads: Reads, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.envs(self.environment(reads));
        command
    }

    /// The environment of such a service.
    pub(crate) fn environment(&self, reads: Reads) -> Vec<(&'static str, String)> {
        let primary = ("DATABASE_MAIN_URL", self.primary().url(&self.name));
        match reads {
            Reads::FromPrimary => vec![primary],
            Reads::FromReplica => {
                let replica = ("DATABASE_MAIN_READ_URL", self.replica().url(&self.name));
                vec![primary, replica, ("SIGNING_KEY", KEY.to_owned())]
            }
        }
    }

    /// A service that is ready.
    pub(crate) fn service(&self, reads: Reads, arguments: &[&str]) -> Service {
        Service::spawn(&mut self.command(reads, arguments)).wait_until_ready()
    }

    /// Waits until the replica shows everything that is on the primary now.
    pub(crate) fn wait_for_replica(&self) {
        let position = self.sql("SELECT pg_current_wal_insert_lsn()");
        let reached = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
        until("the replica does not catch up", || self.replica().psql("postgres", &reached) == "t");
    }

    pub(crate) fn pause_replay(&self) {
        self.replica().psql("postgres", "SELECT pg_wal_replay_pause()");
        let state = "SELECT pg_get_wal_replay_pause_state()";
        until("the replica does not pause", || self.replica().psql("postgres", state) == "paused");
    }

    pub(crate) fn resume_replay(&self) {
        self.replica().psql("postgres", "SELECT pg_wal_replay_resume()");
    }
}

/// Where a service sends its reads.
#[derive(Clone, Copy)]
pub(crate) enum Reads {
    FromPrimary,
    FromReplica,
}

/// A session that holds a lock.
pub(crate) struct Lock(Child);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
