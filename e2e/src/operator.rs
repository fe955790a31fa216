//! The operator of the chart as tests disturb it: stopped, started again, and run as a process of this machine.
//! Talks to the API server and runs processes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::chart::OPERATOR_NAMESPACE;
use crate::cluster::paths::CRATE_DIR;
use crate::world::wait_until;

/// Name of the operator's Deployment, Service and Lease.
pub const OPERATOR: &str = "scalableapp-operator";
/// Name of the Deployment and Service of the bundled Prometheus.
pub const PROMETHEUS: &str = "scalableapp-prometheus";

/// Sets the replicas of a Deployment of the chart and waits until so many pods are ready, and no others are left.
///
/// # Errors
/// When the pods do not come or go in time.
pub async fn scale(client: &Client, name: &str, replicas: i32) -> Result<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let patch = json!({"spec": {"replicas": replicas}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .context("failed to scale the Deployment")?;
    wait_until(&format!("{replicas} pods of {name} are ready"), Duration::from_secs(60), async || {
        let deployment = api.get(name).await?;
        let status = deployment.status.unwrap_or_default();
        ensure!(status.observed_generation == deployment.metadata.generation, "the change is not seen yet");
        ensure!(status.ready_replicas.unwrap_or(0) == replicas, "{:?} are ready", status.ready_replicas);
        ensure!(status.replicas.unwrap_or(0) == replicas, "there are {:?}", status.replicas);
        Ok(())
    })
    .await
}

/// Kills the operator's pods without grace, as a crash of their node would.
///
/// # Errors
/// When the API server refuses.
pub async fn crash(client: &Client) -> Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let pods = ListParams::default().labels("app.kubernetes.io/component=operator");
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    api.delete_collection(&at_once, &pods).await.context("failed to delete the operator's pods")?;
    Ok(())
}

/// An operator that runs as a process of this machine. It is killed when it is dropped.
pub struct LocalOperator {
    child: Child,
    log: PathBuf,
}

impl LocalOperator {
    /// Starts `target/release/scalableapp-operator` with a Lease in `lease_namespace`.
    ///
    /// # Errors
    /// When the program is not built or does not start.
    pub fn start(
        identity: &str,
        kubeconfig: &Path,
        lease_namespace: &str,
        prometheus: &str,
        directory: &Path,
    ) -> Result<Self> {
        let program = Path::new(CRATE_DIR).join("../target/release/scalableapp-operator");
        let log = directory.join(format!("{identity}.log"));
        let output =
            std::fs::File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
        let child = Command::new(&program)
            .args(["--identity", identity, "--http-port", "0", "--lease-namespace", lease_namespace])
            .args(["--prometheus-url", prometheus, "--log-format", "text"])
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()
            .with_context(|| {
                format!("failed to run {}: build it with cargo build --release", program.display())
            })?;
        Ok(Self { child, log })
    }

    /// Stops the process without ending it, as a frozen node would.
    ///
    /// # Errors
    /// When it has ended.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets the process go on.
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

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for LocalOperator {
    fn drop(&mut self) {
        // A process that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
