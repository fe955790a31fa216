//! The operator as a process of this machine, and the holder of a Lease. Talks to the API server and runs processes.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::Api;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::CRATE_DIR;

/// Name of the operator's Deployment, Service and Lease.
pub const OPERATOR: &str = "scalableapp-operator";

/// The holder of a Lease: the name of a process and a random part.
///
/// # Errors
/// When there is none.
pub async fn leader(client: Client, namespace: &str, lease: &str) -> Result<String> {
    let leases: Api<Lease> = Api::namespaced(client, namespace);
    let spec = leases.get(lease).await?.spec.unwrap_or_default();
    spec.holder_identity.context("nobody leads")
}

/// An operator as a process of this machine. It is killed when it is dropped.
pub struct LocalOperator {
    child: Child,
    log: PathBuf,
    http_port: u16,
    probe_port: u16,
}

impl LocalOperator {
    /// Starts `target/release/scalableapp-operator`, or the program of `OPERATOR_PROGRAM`, with a Lease in
    /// `lease_namespace` and with more arguments.
    ///
    /// # Errors
    /// When the program is not built or does not start.
    pub fn start(
        identity: &str,
        kubeconfig: &Path,
        lease_namespace: &str,
        prometheus: &str,
        directory: &Path,
        more: &[&str],
    ) -> Result<Self> {
        let (http_port, probe_port) = (free_port()?, free_port()?);
        let built = Path::new(CRATE_DIR).join("../target/release/scalableapp-operator");
        let program = std::env::var_os("OPERATOR_PROGRAM").map_or(built, PathBuf::from);
        ensure!(program.exists(), "{} is missing: build it with cargo build --release", program.display());
        let log = directory.join(format!("{identity}.log"));
        let output =
            std::fs::File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
        // It ends with its parent, for any reason.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&program)
            .args(["--identity", identity, "--lease-namespace", lease_namespace])
            .args(["--prometheus-url", prometheus, "--log-format", "text"])
            .args(["--http-port", &http_port.to_string(), "--probe-port", &probe_port.to_string()])
            .args(more)
            .env("KUBECONFIG", kubeconfig)
            // As the chart sets it.
            .env("MALLOC_MMAP_THRESHOLD_", "65536")
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()
            .context("failed to run setpriv")?;
        Ok(Self { child, log, http_port, probe_port })
    }

    /// Suspends the process without ending it, as a frozen node would.
    ///
    /// # Errors
    /// When it has ended.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Resumes the process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let process = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(process, signal).with_context(|| format!("failed to send {signal} to {process}"))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The port of its metrics.
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// The port of its probes.
    pub fn probe_port(&self) -> u16 {
        self.probe_port
    }

    /// The process' own metrics, as Prometheus scrapes them.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let answer = get(self.http_port, "/metrics").await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer from the operator")?;
        Ok(body.to_owned())
    }

    /// Whether the process answers `/livez` or `/readyz` with 200.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn probe(&self, path: &str) -> Result<bool> {
        Ok(get(self.probe_port, path).await?.starts_with("HTTP/1.0 200"))
    }

    /// The process' log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

async fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port")?;
    Ok(listener.local_addr()?.port())
}

impl Drop for LocalOperator {
    fn drop(&mut self) {
        // An ended process is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
