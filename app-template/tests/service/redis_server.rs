//! A real Redis on loopback that ends with its test. I/O: processes and sockets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// No start takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A port that nothing has now, and that the kernel gives to nobody who asks for any: a server that is
/// killed finds it free when it is started again.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(15_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Keeps nothing on disk: killed, it has forgotten everything.
pub(crate) struct RedisServer {
    port: u16,
    process: Child,
}

#[allow(dead_code, reason = "tests of the library and of the process each use a part of it")]
impl RedisServer {
    /// Returns once it answers.
    pub(crate) fn start() -> Self {
        let port = free_port();
        Self { port, process: spawn(port) }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its host and port.
    pub(crate) fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What Redis answers to a command.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut connection = redis::Client::open(self.url()).unwrap().get_connection().unwrap();
        redis::cmd(command[0]).arg(&command[1..]).query(&mut connection).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on its port, empty.
    pub(crate) fn revive(&mut self) {
        self.process = spawn(self.port);
    }

    /// It goes on taking connections, and answers none, until [`Self::resume`].
    pub(crate) fn suspend(&self) {
        kill(self.pid(), Signal::SIGSTOP).unwrap();
    }

    pub(crate) fn resume(&self) {
        kill(self.pid(), Signal::SIGCONT).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().try_into().unwrap())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(port: u16) -> Child {
    // The kernel ends it with the test's thread, also if the test is killed.
    let process = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir", "/"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !answers(port) {
        assert!(
            begun.elapsed() < PATIENCE,
            "no Redis on port {port}: is the package redis-server installed?"
        );
        thread::sleep(Duration::from_millis(5));
    }
    process
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let mut answer = [0; 7];
    stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer)).is_ok()
        && answer == *b"+PONG\r\n"
}
