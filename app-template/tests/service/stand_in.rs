//! The stand-in for a payment provider as a child process that ends with its test. I/O: processes and sockets.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::client::Connection;
use crate::redis_server::free_port;

/// Its process.
pub(crate) struct Provider {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Provider {
    pub(crate) fn start() -> Self {
        Self::start_at(&format!("127.0.0.1:{}", free_port()))
    }

    pub(crate) fn start_at(address: &str) -> Self {
        Self::spawn(&["--address", address])
    }

    /// One that remembers what it took beyond its end.
    pub(crate) fn start_with(ledger: &Path, address: Option<SocketAddr>) -> Self {
        let address =
            address.map_or_else(|| format!("127.0.0.1:{}", free_port()), |address| address.to_string());
        Self::spawn(&["--address", &address, "--ledger", ledger.to_str().unwrap()])
    }

    /// Returns once it takes connections.
    fn spawn(arguments: &[&str]) -> Self {
        // The kernel ends it with the test's thread, also if the test is killed.
        let mut process = Command::new("setpriv")
            .env_clear()
            .args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_payment-provider")])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        Self { process, address: line["address"].as_str().unwrap().parse().unwrap() }
    }

    pub(crate) fn behave(&self, behavior: &Value) {
        let mut admin = Connection::open(self.address).unwrap();
        assert_eq!(admin.exchange("PUT", "/behavior", "", &behavior.to_string()).unwrap().status, 200);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many payments it took.
    pub(crate) fn taken(&self) -> u64 {
        self.ledger()["count"].as_u64().unwrap()
    }

    /// How many payments it took, and their sum.
    pub(crate) fn ledger(&self) -> Value {
        Connection::open(self.address).unwrap().get("/taken").unwrap().json()
    }

    pub(crate) fn kill(mut self) -> SocketAddr {
        self.end();
        self.address
    }

    fn end(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.end();
    }
}
