//! Processes that end with the test that started them, however it ends.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// Where Debian puts each version of PostgreSQL.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Kills it when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program of PostgreSQL as its user, since none of its servers runs as root.
/// The kernel sends it `signal` when the thread that started it ends.
pub(crate) fn as_postgres(program: &str, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--pdeathsig={signal}"));
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg("--").arg(program).env("PATH", path());
    command
}

pub(crate) fn is_root() -> bool {
    run(Command::new("id").arg("-u")) == "0"
}

/// With the newest programs of PostgreSQL first.
pub(crate) fn path() -> String {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_version = |folder: &PathBuf| -> Option<u32> { folder.file_name()?.to_str()?.parse().ok() };
    let newest = versions.filter(|folder| folder.join("bin/initdb").exists()).max_by_key(of_version);
    let newest = newest.expect("PostgreSQL is missing: run .ci/packages, or install postgresql").join("bin");
    format!("{}:{}", newest.display(), std::env::var("PATH").unwrap())
}

pub(crate) fn send(signal: &str, process: u32) {
    run(Command::new("kill").args([&format!("-{signal}"), &process.to_string()]));
}

/// Whether the process was there.
pub(crate) fn try_send(signal: &str, process: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{signal}"), &process.to_string()]).output().unwrap().status.success()
}

pub(crate) fn children(process: u32) -> Vec<u32> {
    let file = format!("/proc/{process}/task/{process}/children");
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// What it prints.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Asks until it is so, for at most a minute; `otherwise` says what is wrong then.
pub(crate) fn until(mut so: impl FnMut() -> bool, otherwise: impl Fn() -> String) {
    let end = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < end, "{}", otherwise());
        thread::sleep(Duration::from_millis(50));
    }
}

/// A port of loopback that is free now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
