//! A PostgreSQL primary and a streaming replica of it, on free ports of loopback, that end with the test process.
//! I/O: processes and a folder below the system's temporary one.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{PATIENCE, Service, command};
use crate::redis_server::free_port;

/// Where Debian puts each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The key of the tests, for tokens and webhooks.
pub(crate) const KEY: &str = "a key of the tests, of 32 characters and more";

const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 16MB
fsync = off
shared_preload_libraries = 'pg_stat_statements'
max_wal_senders = 4
wal_keep_size = 256MB
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 100ms
autovacuum = off
# A session whose client was killed ends at once.
client_connection_check_interval = 50ms
";

pub(crate) struct Server {
    port: u16,
    folder: PathBuf,
}

/// Both servers; all tests of the process share them.
struct Pair {
    primary: Server,
    replica: Server,
    /// Ends the servers and removes their folder when its stdin closes, which it does however this process ends.
    _keeper: Child,
}

static PAIR: OnceLock<Pair> = OnceLock::new();
static USE: RwLock<()> = RwLock::new(());
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// An empty database, for one test.
pub(crate) struct Database<Guard> {
    name: String,
    _guard: Guard,
}

/// A database while no other test has one.
pub(crate) type Exclusive = Database<RwLockWriteGuard<'static, ()>>;

/// A database beside those of other tests; whoever has it disturbs no server.
pub(crate) fn shared() -> Database<RwLockReadGuard<'static, ()>> {
    database(USE.read().unwrap_or_else(PoisonError::into_inner))
}

/// A database while no other test has one: the servers may be disturbed.
pub(crate) fn alone() -> Exclusive {
    database(USE.write().unwrap_or_else(PoisonError::into_inner))
}

fn database<Guard>(guard: Guard) -> Database<Guard> {
    let pair = PAIR.get_or_init(start);
    // A test that failed may have left them disturbed.
    pair.primary.start();
    pair.replica.start();
    pair.replica.psql("postgres", "SELECT pg_wal_replay_resume()");
    let name = format!("test{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    pair.primary.psql("postgres", &format!("CREATE DATABASE {name}"));
    Database { name, _guard: guard }
}

impl<Guard> Database<Guard> {
    pub(crate) fn primary(&self) -> &'static Server {
        &PAIR.get().unwrap().primary
    }

    pub(crate) fn replica(&self) -> &'static Server {
        &PAIR.get().unwrap().replica
    }

    /// What a statement returns on the primary, columns separated by `|`.
    pub(crate) fn sql(&self, statement: &str) -> String {
        self.primary().psql(&self.name, statement)
    }

    /// A URL with the replica before the primary.
    pub(crate) fn url_of_both(&self) -> String {
        let (replica, primary) = (self.replica().port, self.primary().port);
        format!("postgres://postgres@127.0.0.1:{replica},127.0.0.1:{primary}/{}", self.name)
    }

    /// Locks the products against everybody, until the lock is dropped.
    pub(crate) fn lock_products(&self) -> Lock {
        let port = self.primary().port.to_string();
        let mut psql = Command::new(program("psql"));
        psql.args(["-qAtX", "-h", "127.0.0.1", "-U", "postgres", "-p", &port, "-d", &self.name]);
        psql.args(["-c", "BEGIN; LOCK TABLE catalog.products; SELECT pg_sleep(60)"]);
        let lock = Lock(psql.stdout(Stdio::null()).spawn().unwrap());
        let begun = Instant::now();
        let granted = "SELECT count(*) FROM pg_locks WHERE relation = 'catalog.products'::regclass \
                       AND mode = 'AccessExclusiveLock' AND granted";
        while self.sql(granted) == "0" {
            assert!(begun.elapsed() < PATIENCE, "the products are not locked");
        }
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
        let begun = Instant::now();
        let reached = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
        while self.replica().psql("postgres", &reached) != "t" {
            assert!(begun.elapsed() < PATIENCE, "the replica does not catch up");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn pause_replay(&self) {
        self.replica().psql("postgres", "SELECT pg_wal_replay_pause()");
        let begun = Instant::now();
        while self.replica().psql("postgres", "SELECT pg_get_wal_replay_pause_state()") != "paused" {
            assert!(begun.elapsed() < PATIENCE, "the replica does not pause");
            thread::sleep(Duration::from_millis(5));
        }
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

impl Server {
    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn psql(&self, database: &str, statement: &str) -> String {
        let port = self.port.to_string();
        let mut psql = Command::new(program("psql"));
        psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres", "-p", &port]);
        run(psql.args(["-d", database, "-c", statement]))
    }

    /// Returns once it answers; does nothing if it runs.
    pub(crate) fn start(&self) {
        if postgres("pg_ctl")
            .arg("status")
            .arg("-D")
            .arg(&self.folder)
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
        {
            return;
        }
        let log = self.folder.with_extension("log");
        let mut start = postgres("pg_ctl");
        // Without the pipes of this process: the server would keep them open.
        start.args(["start", "-w", "-s", "-D"]).arg(&self.folder).arg("-l").arg(&log).stdout(Stdio::null());
        let status = start.stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "{}", fs::read_to_string(&log).unwrap_or_default());
    }

    /// As if its machine lost power.
    pub(crate) fn crash(&self) {
        run(postgres("pg_ctl").args(["stop", "-s", "-m", "immediate", "-D"]).arg(&self.folder));
    }
}

/// The path of a program of PostgreSQL, of the newest version.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let of_version = |folder: &PathBuf| -> Option<u32> { folder.file_name()?.to_str()?.parse().ok() };
    let newest = versions.map(|entry| entry.path()).filter(|folder| folder.join("bin").join(name).exists());
    let newest = newest.max_by_key(of_version);
    newest.expect("PostgreSQL is missing: run .ci/packages, or install postgresql").join("bin").join(name)
}

/// A program of PostgreSQL; as its user if this is root, as which it refuses to run.
fn postgres(name: &str) -> Command {
    let program = program(name);
    if !nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn start() -> Pair {
    let folder = std::env::temp_dir().join(format!("app-template-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    if let Ok(Some(user)) = nix::unistd::User::from_name("postgres")
        && nix::unistd::geteuid().is_root()
    {
        nix::unistd::chown(&folder, Some(user.uid), Some(user.gid)).unwrap();
    }
    let keeper = keep(&folder);

    let primary = Server { port: free_port(), folder: folder.join("primary") };
    run(postgres("initdb")
        .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
        .arg(&primary.folder));
    configure(&primary);
    primary.start();

    let replica = Server { port: free_port(), folder: folder.join("replica") };
    run(postgres("pg_basebackup")
        .args(["-h", "127.0.0.1", "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync"])
        .args(["-p", &primary.port.to_string(), "-D"])
        .arg(&replica.folder));
    configure(&replica);
    replica.start();
    Pair { primary, replica, _keeper: keeper }
}

fn configure(server: &Server) {
    let file = server.folder.join("postgresql.conf");
    let settings = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{settings}{SETTINGS}port = {}\n", server.port)).unwrap();
}

/// In a process group of its own, so that an interrupt from the keyboard leaves it time to clean up.
fn keep(folder: &Path) -> Child {
    let script = format!(
        "cat >/dev/null; for server in replica primary; do \
         setsid -w {} stop -s -m immediate -D \"$0/$server\" 2>/dev/null; done; rm -rf \"$0\"",
        if nix::unistd::geteuid().is_root() {
            format!(
                "setpriv --reuid=postgres --regid=postgres --clear-groups -- {}",
                program("pg_ctl").display()
            )
        } else {
            program("pg_ctl").display().to_string()
        }
    );
    Command::new("sh")
        .args(["-c", &script])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}
