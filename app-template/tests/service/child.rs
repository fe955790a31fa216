//! The service as a child process that ends with its test. I/O: processes and pipes.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::client::{Answer, Connection};
use crate::waiting::{PATIENCE, eventually, until};

pub(crate) struct Service {
    process: Child,
    /// Locked, so that the threads of a test can share the service.
    logs: Mutex<Logs>,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

struct Logs {
    earlier: VecDeque<Value>,
    later: Receiver<Value>,
}

impl Logs {
    fn up_to(&mut self, message: &str) -> Vec<Value> {
        let mut lines: Vec<Value> = Vec::new();
        while lines.last().is_none_or(|line| line["message"] != message) {
            let line = self.earlier.pop_front().or_else(|| self.later.recv_timeout(PATIENCE).ok());
            lines.push(line.unwrap_or_else(|| panic!("no log line {message} after {lines:?}")));
        }
        lines
    }
}

/// The binary with nothing from this process's environment, on free ports of loopback.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_app-template"));
    command
        .env_clear()
        .args(["--address", "127.0.0.1", "--port", "0", "--metrics-port", "0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Service {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut command(arguments))
    }

    /// Returns once the service says that it is serving.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut process = command.spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, logs) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let address = |line: &Value, port: &str| line[port].as_str().unwrap().parse().unwrap();
        // What comes before it is read later.
        let mut logs = Logs { earlier: VecDeque::new(), later: logs };
        let mut read = logs.up_to("serving");
        let serving = read.pop().unwrap();
        logs.earlier.extend(read);
        let metrics = address(&serving, "metrics");
        // A worker without a port has the one of its metrics only.
        let address = if serving["service"].is_null() { metrics } else { address(&serving, "service") };
        Self { process, logs: Mutex::new(logs), address, metrics }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address).unwrap()
    }

    /// The text of `/metrics`.
    pub(crate) fn scrape(&self) -> String {
        Connection::open(self.metrics).unwrap().get("/metrics").unwrap().body
    }

    /// Scrapes until the sample `series` has `value`.
    pub(crate) fn wait_for_sample(&self, series: &str, value: &str) {
        let line = format!("{series} {value}");
        eventually(|| {
            let metrics = self.scrape();
            if metrics.lines().any(|sample| sample == line) {
                Ok(())
            } else {
                Err(format!("no {line} in\n{metrics}"))
            }
        });
    }

    /// Reads the log up to the line with this message.
    pub(crate) fn wait_for_log(&self, message: &str) -> Value {
        self.log_up_to(message).pop().unwrap()
    }

    /// The log from here to the line with this message.
    pub(crate) fn log_up_to(&self, message: &str) -> Vec<Value> {
        self.logs.lock().unwrap().up_to(message)
    }

    /// Asks until `/readyz` says yes.
    pub(crate) fn wait_until_ready(self) -> Self {
        until("the service does not become ready", || self.connect().get("/readyz").unwrap().status == 200);
        self
    }

    /// One request on a connection of its own; `headers` are whole lines.
    pub(crate) fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut connection = self.connect();
        let length = body.len();
        let headers = format!("content-type: application/json\r\ncontent-length: {length}\r\n{headers}");
        connection.send_with(method, path, &headers, body).unwrap();
        connection.receive().unwrap()
    }

    /// The sum of all samples whose line begins with `series`.
    pub(crate) fn sum(&self, series: &str) -> f64 {
        let metrics = self.scrape();
        let samples = metrics.lines().filter(|line| line.starts_with(series));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    pub(crate) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    /// How the process ended, and its stderr.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        wait(&mut self.process)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How the process ended, and its stderr.
pub(crate) fn wait(process: &mut Child) -> (ExitStatus, String) {
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            process.kill().unwrap();
            panic!("the service did not end within {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let mut stderr = String::new();
    process.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (status, stderr)
}
