//! A PostgreSQL primary that a reader clones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::process::{Process, as_postgres, children, free_port, is_root, path, run, send, try_send, until};

/// With characters that a passfile, a URI and a connection string must escape.
pub(crate) const PASSWORD: &str = r"se:c\ret'% @/?";

const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
autovacuum = off
shared_buffers = 16MB
min_wal_size = 2MB
timezone = 'Asia/Tokyo'
";

const ACCESS: &str = "
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
";

/// With the role `reader`, which replicates, the role `app`, whose password is `app`, and the table `t`.
pub(crate) struct Primary {
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
    server: Option<Process>,
}

impl Primary {
    /// Returns once it answers.
    pub(crate) fn start(settings: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("reader-primary-").tempdir().unwrap();
        own(folder.path());
        let mut primary = Self { port: free_port(), folder, server: None };
        run(as_postgres("initdb", "KILL")
            .args([
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "--wal-segsize=1",
            ])
            .arg("-D")
            .arg(primary.data()));
        primary.set(&format!("{SETTINGS}port = {}\n{settings}", primary.port));
        primary.admit(ACCESS);
        primary.resume();
        primary.sql("CREATE ROLE app LOGIN PASSWORD 'app'; CREATE TABLE t (x int); GRANT SELECT ON t TO app");
        primary.sql("CREATE ROLE reader LOGIN REPLICATION");
        primary.change_password(PASSWORD);
        primary
    }

    /// A standby of it, for a failover.
    pub(crate) fn standby(&self) -> Self {
        let folder = tempfile::Builder::new().prefix("reader-standby-").tempdir().unwrap();
        own(folder.path());
        let mut standby = Self { port: free_port(), folder, server: None };
        self.admit(&format!("host replication postgres 127.0.0.1/32 trust\n{ACCESS}"));
        let mut copy = as_postgres("pg_basebackup", "KILL");
        copy.args([
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
            "--no-sync",
            "-p",
        ]);
        run(copy.arg(self.port.to_string()).arg("-D").arg(standby.data()));
        standby.set(&format!("port = {}", standby.port));
        standby.resume();
        standby
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        self.sql("SELECT pg_promote()");
    }

    /// From now on it admits only connections with TLS. Returns the certificate of the authority that vouches for
    /// `localhost`.
    pub(crate) fn require_tls(&self) -> PathBuf {
        let authority = certify(self.folder.path());
        self.set("ssl = on\nssl_cert_file = '../server.pem'\nssl_key_file = '../server.key'");
        self.admit(
            &ACCESS
                .replace("host all all", "hostssl all all")
                .replace("host replication", "hostssl replication"),
        );
        authority
    }

    pub(crate) fn change_password(&self, password: &str) {
        self.sql(&format!("ALTER ROLE reader PASSWORD '{}'", password.replace('\'', "''")));
    }

    /// What a statement returns, columns separated by `|`.
    pub(crate) fn sql(&self, statement: &str) -> String {
        run(client(self.port, "postgres").args(["-v", "ON_ERROR_STOP=1", "-c", statement]))
    }

    /// Returns once it has what the other has.
    pub(crate) fn wait_for(&self, other: &Self) {
        let position = other.sql("SELECT pg_current_wal_flush_lsn()");
        let reached = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
        until(|| self.sql(&reached) == "t", || self.sql("SELECT * FROM pg_stat_wal_receiver"));
    }

    /// Adds to its settings, from its next start on.
    pub(crate) fn set(&self, settings: &str) {
        let file = self.data().join("postgresql.conf");
        let before = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{before}{settings}\n")).unwrap();
    }

    /// Replaces its rules of who may come in, at once if it runs.
    pub(crate) fn admit(&self, access: &str) {
        fs::write(self.data().join("pg_hba.conf"), access).unwrap();
        if self.server.is_some() {
            self.sql("SELECT pg_reload_conf()");
        }
    }

    /// Nobody may replicate any more, and whoever does is cut off. Sessions remain.
    pub(crate) fn end_replication(&self) {
        self.admit(&format!("host replication all 127.0.0.1/32 reject\n{ACCESS}"));
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
    }

    pub(crate) fn admit_replication(&self) {
        self.admit(ACCESS);
    }

    pub(crate) fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        send("INT", server.0.id());
        server.0.wait().unwrap();
    }

    /// Starts it; returns once it answers.
    pub(crate) fn resume(&mut self) {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.log()).unwrap();
        let mut server = as_postgres("postgres", "QUIT");
        server.arg("-D").arg(self.data()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.server = Some(Process(server.spawn().unwrap()));
        until(
            || client(self.port, "postgres").args(["-c", "SELECT 1"]).output().unwrap().status.success(),
            || fs::read_to_string(self.log()).unwrap(),
        );
    }

    /// It goes on taking connections, and answers none, until what this returns is dropped.
    pub(crate) fn suspend(&self) -> Suspended {
        let server = self.server.as_ref().unwrap().0.id();
        send("STOP", server);
        let mut processes = children(server);
        processes.retain(|process| try_send("STOP", *process));
        processes.push(server);
        Suspended(processes)
    }

    /// Makes more WAL than it keeps.
    pub(crate) fn outrun_its_wal(&self) {
        for _ in 0..3 {
            self.sql("INSERT INTO t SELECT generate_series(1, 50000)");
            self.sql("CHECKPOINT");
        }
    }

    pub(crate) fn add_tablespace(&self, name: &str) {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        own(&folder);
        self.sql(&format!("CREATE TABLESPACE {name} LOCATION '{}'", folder.display()));
    }

    /// As a failover of its service does, but for the new primary.
    pub(crate) fn move_to_another_port(&mut self) {
        self.stop();
        self.port = free_port();
        self.set(&format!("port = {}", self.port));
        self.resume();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// The processes of a server that stand still.
pub(crate) struct Suspended(Vec<u32>);

impl Drop for Suspended {
    fn drop(&mut self) {
        for process in &self.0 {
            try_send("CONT", *process);
        }
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        // It removes its shared memory.
        if let Some(server) = &mut self.server {
            send("QUIT", server.0.id());
            let _ = server.0.wait();
        }
    }
}

/// An authority, and a certificate that it signed for `localhost`.
pub(crate) fn certify(folder: &Path) -> PathBuf {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "the tests' authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let files = [
        ("authority.pem", authority.pem()),
        ("server.pem", server.pem()),
        ("server.key", key.serialize_pem()),
    ];
    for (name, text) in files {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        own(&file);
    }
    folder.join("authority.pem")
}

/// Gives a file or a folder to the user that PostgreSQL runs as.
pub(crate) fn own(path: &Path) {
    if is_root() {
        run(Command::new("chown").arg("-R").arg("postgres:postgres").arg(path));
    }
}

/// psql as a role whose password is its name.
pub(crate) fn client(port: u16, role: &str) -> Command {
    let mut psql = Command::new("psql");
    psql.env("PATH", path()).env("PGPASSWORD", role);
    psql.args(["-qAtX", "-h", "127.0.0.1", "-U", role, "-d", "postgres", "-p", &port.to_string()]);
    psql
}
