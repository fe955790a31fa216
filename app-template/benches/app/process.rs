//! A server as a process of its own, so that its time and its memory are its own. I/O: processes, /proc.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::Pid;

use crate::client::Connection;
use crate::redis_server::free_port;
use crate::waiting::PATIENCE;

/// What runs in a process.
#[derive(Clone, Copy)]
pub(crate) enum Program {
    /// The app as it is shipped.
    App,
    /// This program, in one of the roles that `main` knows.
    Role(&'static str),
}

/// A server that is ready; the kernel ends it with this process.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
    /// From its start until it was ready.
    pub(crate) start: Duration,
}

impl Server {
    pub(crate) fn start(program: Program, environment: &[(&str, String)]) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = Command::new("setpriv");
        command.env_clear().args(["--pdeathsig", "KILL"]);
        match program {
            Program::App => command.arg(env!("CARGO_BIN_EXE_app-template")),
            Program::Role(role) => command.arg(std::env::current_exe().unwrap()).env("ROLE", role),
        };
        command
            .env("ADDRESS", "127.0.0.1")
            .env("PORT", address.port().to_string())
            .env("METRICS_PORT", free_port().to_string())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null());
        let begun = Instant::now();
        let process = command.spawn().unwrap();
        while !is_ready(address) {
            assert!(begun.elapsed() < PATIENCE, "a server does not become ready");
            thread::sleep(Duration::from_millis(1));
        }
        Self { process, address, start: begun.elapsed() }
    }

    /// The time on a CPU since its start, of all its threads.
    pub(crate) fn cpu_time(&self) -> Duration {
        let clock = ClockId::pid_cpu_clock_id(self.pid()).unwrap();
        Duration::from(clock.now().unwrap())
    }

    /// The most memory that it has had resident, in MiB.
    pub(crate) fn peak_memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1024.0
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().try_into().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let answer = Connection::open(address).and_then(|mut connection| connection.get("/readyz"));
    answer.is_ok_and(|answer| answer.status == 200)
}
