//! A reader in what a pod gives it: its scripts, its volumes, its Secret, and process ids of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::primary::{PASSWORD, Primary, client, own};
use crate::process::{Process, as_postgres, children, free_port, is_root, path, run, send, until};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/render/reader");

/// The pod: what remains when its container starts again.
pub(crate) struct Pod {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    environment: Vec<(&'static str, String)>,
}

/// One container of it.
pub(crate) struct Container<'a> {
    pod: &'a Pod,
    process: Process,
}

impl Pod {
    /// With a Secret that names this primary, and a lag of at most 2 s.
    pub(crate) fn of(primary: &Primary) -> Self {
        Self::of_port(primary.port)
    }

    pub(crate) fn of_port(primary: u16) -> Self {
        let folder = tempfile::Builder::new().prefix("reader-pod-").tempdir().unwrap();
        for name in ["scripts", "secret", "run", "data"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for script in fs::read_dir(SCRIPTS).unwrap() {
            let script = script.unwrap();
            fs::copy(script.path(), folder.path().join("scripts").join(script.file_name())).unwrap();
        }
        let mut pod = Self { folder, port: free_port(), environment: Vec::new() };
        pod.set("MAX_LAG", "2");
        pod.set("APPLICATION_NAME", "shop-main-0");
        pod.set("PORT", &pod.port.to_string());
        pod.set("LISTEN_ADDRESSES", "127.0.0.1");
        pod.set("CHECK_SECONDS", "2");
        pod.set("PRIMARY_SECRET", "shop-db");
        for (name, file) in [
            ("PRIMARY_SECRET_DIR", "secret"),
            ("PGDATA", "data/pgdata"),
            ("RUN_DIR", "run"),
            ("TERMINATION_LOG", "termination-log"),
        ] {
            pod.set(name, pod.path(file).to_str().unwrap());
        }
        pod.write_secret("host", "127.0.0.1");
        pod.write_secret("port", &primary.to_string());
        pod.write_secret("user", "reader");
        pod.write_secret("password", PASSWORD);
        pod
    }

    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// As a mounted Secret changes: whole.
    pub(crate) fn write_secret(&self, name: &str, text: &str) {
        let new = self.path("secret.new");
        fs::write(&new, format!("{text}\n")).unwrap();
        own(&new);
        fs::rename(new, self.path("secret").join(name)).unwrap();
    }

    pub(crate) fn forget_secret(&self, name: &str) {
        fs::remove_file(self.path("secret").join(name)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts its container.
    pub(crate) fn start(&self) -> Container<'_> {
        own(self.folder.path());
        let log = fs::OpenOptions::new().append(true).create(true).open(self.path("log")).unwrap();
        let mut command = if is_root() {
            // With process ids of its own: all end with the first.
            let mut command = std::process::Command::new("setpriv");
            command.args(["--pdeathsig=KILL", "unshare", "--pid", "--fork", "--"]);
            let inner = as_postgres("bash", "KILL");
            command.arg(inner.get_program()).args(inner.get_args()).env("PATH", path());
            command
        } else {
            as_postgres("bash", "KILL")
        };
        command.arg(self.path("scripts/reader.sh")).envs(self.environment.iter().map(|(n, v)| (n, v)));
        let process = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        Container { pod: self, process: Process(process.unwrap()) }
    }

    /// The same, and returns once it is eligible for reads.
    pub(crate) fn start_eligible(&self) -> Container<'_> {
        let container = self.start();
        container.wait_until_eligible();
        container
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn is_eligible(&self) -> bool {
        self.path("run/reader/eligible").exists()
    }

    pub(crate) fn wait_until_it_says(&self, text: &str) {
        until(|| self.log().contains(text), || format!("It never says '{text}': {}", self.log()));
    }

    /// What a statement returns to the role `app`, over TCP.
    pub(crate) fn sql(&self, statement: &str) -> String {
        let output =
            client(self.port, "app").args(["-v", "ON_ERROR_STOP=1", "-c", statement]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statement}: {error}{}", self.log());
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs a statement as a superuser, over the reader's own socket.
    pub(crate) fn administer(&self, statement: &str) {
        let mut psql = as_postgres("psql", "KILL");
        psql.args([
            "-qAtX",
            "-U",
            "postgres",
            "-d",
            "postgres",
            "-c",
            statement,
            "-p",
            &self.port.to_string(),
        ]);
        run(psql.arg("-h").arg(self.path("run")));
    }

    /// Whether it answers that now.
    pub(crate) fn shows(&self, statement: &str, result: &str) -> bool {
        let output = client(self.port, "app").args(["-c", statement]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim_end() == result
    }

    /// As if its image were of another major version.
    pub(crate) fn pretend_to_be_version(&mut self, version: u32) {
        let postgres = self.path("scripts/postgres");
        fs::write(&postgres, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}.1'\n")).unwrap();
        fs::set_permissions(&postgres, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", self.path("scripts").display(), path());
        self.set("PATH", &path);
    }

    /// As if the locale of the primary's image had another version.
    pub(crate) fn pretend_that_the_primary_sorts_otherwise(&self) {
        let file = self.path("scripts/check.sql");
        let check = fs::read_to_string(&file).unwrap();
        let expression = "'pg_database_collation_actual_version(oid)'";
        assert!(check.contains(expression));
        fs::write(&file, check.replace(expression, "'text ''1.0'''")).unwrap();
    }

    pub(crate) fn wait_until_it_shows(&self, statement: &str, result: &str) {
        until(
            || self.shows(statement, result),
            || format!("{statement} is not '{result}' but {}", self.sql(statement)),
        );
    }
}

impl Container<'_> {
    pub(crate) fn wait_until_eligible(&self) {
        until(|| self.pod.is_eligible(), || format!("It does not become eligible: {}", self.pod.log()));
    }

    /// Returns how long that took.
    pub(crate) fn wait_until_ineligible(&self) -> Duration {
        let start = Instant::now();
        until(|| !self.pod.is_eligible(), || format!("It stays eligible: {}", self.pod.log()));
        start.elapsed()
    }

    pub(crate) fn terminate(&self) {
        send("TERM", self.first_process());
    }

    /// The exit code, when it has ended by itself.
    pub(crate) fn wait(mut self) -> i32 {
        let child: &mut Child = &mut self.process.0;
        let mut status = None;
        until(
            || {
                status = child.try_wait().unwrap();
                status.is_some()
            },
            || format!("It does not end: {}", self.pod.log()),
        );
        status.unwrap().code().unwrap()
    }

    /// What it asks to be changed on the primary or in the Secret, when it has ended.
    pub(crate) fn refusal(self) -> String {
        self.refusal_with(10)
    }

    /// What it says, when it has ended with this exit code.
    pub(crate) fn refusal_with(self, code: i32) -> String {
        let pod = self.pod;
        assert_eq!(self.wait(), code, "{}", pod.log());
        fs::read_to_string(pod.path("termination-log")).unwrap().trim_end().to_owned()
    }

    /// As if its node lost power, but for the disks.
    pub(crate) fn kill(self) {}

    /// The process ids of all that runs in it.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.first_process()];
        let mut next = 0;
        while let Some(process) = found.get(next) {
            found.extend(children(*process));
            next += 1;
        }
        found
    }

    /// Kills the PostgreSQL server in it.
    pub(crate) fn kill_server(&self) {
        let is_server = |process: &&u32| {
            let words = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            words.starts_with("postgres\0-D\0")
        };
        send("KILL", *self.processes().iter().find(is_server).unwrap());
    }

    fn first_process(&self) -> u32 {
        let id = self.process.0.id();
        if is_root() { *children(id).first().unwrap() } else { id }
    }
}
