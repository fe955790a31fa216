//! A PostgreSQL primary and a streaming replica of it, on free ports of loopback, that end with whoever started them.
//! I/O: processes and a folder below the system's temporary one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::redis_server::free_port;

/// Where Debian puts each version.
const VERSIONS: &str = "/usr/lib/postgresql";

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
ssl = on
ssl_cert_file = '../server.pem'
ssl_key_file = '../server.key'
";

static PAIRS: AtomicU32 = AtomicU32::new(0);

/// Both servers, in one folder.
pub(crate) struct Pair {
    pub(crate) primary: Server,
    pub(crate) replica: Server,
    folder: PathBuf,
    /// Ends the servers and removes their folder when its stdin closes, which it does however this process ends.
    keeper: Child,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Pair {
    /// Returns once the replica streams.
    pub(crate) fn start() -> Self {
        let number = PAIRS.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("app-template-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        own(&folder);
        let keeper = keep(&folder);
        certify(&folder);

        let primary = Server { port: free_port(), folder: folder.join("primary") };
        run(postgres("initdb")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&primary.folder));
        primary.set(&format!("{SETTINGS}port = {}", primary.port));
        primary.start();

        let replica = Server { port: free_port(), folder: folder.join("replica") };
        run(postgres("pg_basebackup")
            .args(["-h", "127.0.0.1", "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync"])
            .args(["-p", &primary.port.to_string(), "-D"])
            .arg(&replica.folder));
        // What comes last counts.
        replica.set(&format!("port = {}", replica.port));
        replica.start();
        Self { primary, replica, folder, keeper }
    }

    /// The certificate of the authority that vouches for both servers, under the name `localhost`.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

impl Server {
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// What a statement returns, columns separated by `|`.
    pub(crate) fn psql(&self, database: &str, statement: &str) -> String {
        run(self.client(database).args(["-v", "ON_ERROR_STOP=1", "-c", statement]))
    }

    /// The client, which runs what it is given after `-c`.
    pub(crate) fn client(&self, database: &str) -> Command {
        let mut psql = Command::new(program("psql"));
        psql.args(["-qAtX", "-h", "127.0.0.1", "-U", "postgres", "-d", database, "-p"])
            .arg(self.port.to_string());
        psql
    }

    /// Returns once it answers; does nothing if it runs.
    pub(crate) fn start(&self) {
        let mut status = postgres("pg_ctl");
        status.arg("status").arg("-D").arg(&self.folder).stdout(Stdio::null());
        if status.status().unwrap().success() {
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

    /// It goes on taking connections, and answers none, until what this returns is dropped.
    pub(crate) fn suspend(&self) -> Suspended {
        let file = fs::read_to_string(self.folder.join("postmaster.pid")).unwrap();
        let first: i32 = file.lines().next().unwrap().parse().unwrap();
        let mut suspended = Suspended(Vec::new());
        suspended.stop(first);
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        children.split_whitespace().for_each(|child| suspended.stop(child.parse().unwrap()));
        suspended
    }

    /// Makes a replica the primary; returns once it takes writes.
    pub(crate) fn promote(&self) {
        run(postgres("pg_ctl").args(["promote", "-w", "-s", "-D"]).arg(&self.folder));
    }

    /// Adds to its settings; those that come later count.
    fn set(&self, settings: &str) {
        let file = self.folder.join("postgresql.conf");
        let before = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{before}{settings}\n")).unwrap();
    }
}

/// The processes of a server that stand still.
pub(crate) struct Suspended(Vec<Pid>);

impl Suspended {
    fn stop(&mut self, process: i32) {
        let process = Pid::from_raw(process);
        // A session may have ended by itself.
        if kill(process, Signal::SIGSTOP).is_ok() {
            self.0.push(process);
        }
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        for process in &self.0 {
            let _ = kill(*process, Signal::SIGCONT);
        }
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
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

/// Gives a file or a folder to the user that PostgreSQL runs as.
fn own(path: &Path) {
    if let Ok(Some(user)) = User::from_name("postgres")
        && geteuid().is_root()
    {
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// An authority, and a certificate that it signed for `localhost`.
pub(crate) fn certify(folder: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "the tests' authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
    for (name, text) in [("server.pem", server.pem()), ("server.key", key.serialize_pem())] {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        own(&file);
    }
}

/// In a process group of its own, so that an interrupt from the keyboard leaves it time to clean up.
fn keep(folder: &Path) -> Child {
    let mut stop = postgres("pg_ctl");
    stop.args(["stop", "-s", "-m", "immediate", "-D"]);
    let words = std::iter::once(stop.get_program()).chain(stop.get_args());
    let stop: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    let script = format!(
        "cat >/dev/null
         for server in replica primary; do
             # A process that stands still would not end.
             read -r first <\"$0/$server/postmaster.pid\" &&
                 kill -CONT $first $(cat /proc/$first/task/$first/children)
             setsid -w {} \"$0/$server\"
         done 2>/dev/null
         rm -rf \"$0\"",
        stop.join(" ")
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
