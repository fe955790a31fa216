//! Waits until a cluster is ready, and installs its volumes and its DNS. Runs kubectl.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::command::output;
use super::config::CONTAINERD_SOCKET;
use super::nodes::Nodes;
use super::parts::program;
use super::paths::{Cache, ClusterDir};
use super::progress::step;
use super::status::{reports, running_init};
use super::volumes;

/// Time limit of each step on a slow and busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

const DNS: &str = include_str!("coredns.yaml");

/// Waits for the API server and the node, and installs volumes. In a cluster with real pods it also installs DNS and
/// waits for that.
pub(super) fn wait(cache: &Cache, dir: &ClusterDir, nodes: Nodes) -> Result<()> {
    let kubectl = || -> Result<Command> {
        let mut command = Command::new(program(cache, "kubectl")?);
        command.arg("--kubeconfig").arg(dir.kubeconfig());
        Ok(command)
    };
    let deadline = format!("--timeout={}s", DEADLINE.as_secs());
    step("cluster: API server", || {
        until_ready(dir, || output(kubectl()?.args(["get", "--raw=/readyz"])).map(drop))
    })
    .and_then(|()| match nodes {
        Nodes::Real => apply(kubectl()?, DNS),
        // A kubelet creates its node itself; KWOK simulates existing ones.
        Nodes::Hollow => apply(kubectl()?, &hollow_node(&dir.name)),
    })
    .and_then(|()| apply(kubectl()?, &volumes::manifest(dir)))
    .and_then(|()| {
        let node = format!("node/{}", dir.name);
        step("cluster: node", || {
            output(kubectl()?.args(["wait", "--for=create", &deadline, &node]))?;
            output(kubectl()?.args(["wait", "--for=condition=Ready", &deadline, &node])).map(drop)
        })
    })
    .and_then(|()| match nodes {
        Nodes::Hollow => Ok(()),
        Nodes::Real => step("cluster: DNS", || {
            let rollout = ["--namespace=kube-system", "rollout", "status", "deployment/coredns", &deadline];
            output(kubectl()?.args(rollout)).map(drop)
        }),
    })
    .with_context(|| unready(dir))
}

/// Waits until images can be loaded.
pub(super) fn wait_for_containerd(dir: &ClusterDir) -> Result<()> {
    until_ready(dir, || {
        let pid = running_init(dir).context("the cluster's process 1 has ended")?;
        // The machine sees the cluster's mounts below this folder of the kernel.
        let socket = format!("/proc/{pid}/root{CONTAINERD_SOCKET}");
        if !Path::new(&socket).exists() {
            bail!("containerd has not started");
        }
        Ok(())
    })
    .with_context(|| unready(dir))
}

fn until_ready(dir: &ClusterDir, mut ready: impl FnMut() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    loop {
        match ready() {
            Ok(()) => return Ok(()),
            Err(error) if started.elapsed() > DEADLINE => return Err(error),
            Err(_) if running_init(dir).is_none() => bail!("the cluster's process 1 has ended"),
            Err(_) => sleep(Duration::from_millis(200)),
        }
    }
}

/// With room for a million simulated pods.
fn hollow_node(name: &str) -> String {
    let labels = json!({volumes::NODE_LABEL: name});
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}).to_string()
}

fn apply(mut kubectl: Command, manifest: &str) -> Result<()> {
    let mut child = kubectl
        .args(["apply", "--server-side", "--force-conflicts", "--filename=-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("failed to start kubectl")?;
    child.stdin.take().context("kubectl takes no input")?.write_all(manifest.as_bytes())?;
    if !child.wait()?.success() {
        bail!("failed to install the cluster's volumes, DNS or node");
    }
    Ok(())
}

/// The state of a cluster that does not become ready, and the paths of its logs.
fn unready(dir: &ClusterDir) -> String {
    let ended: Vec<String> = reports(dir)
        .unwrap_or_default()
        .into_iter()
        .filter(|(_, report)| report.ended > 0 || report.pid.is_none())
        .map(|(name, _)| name)
        .collect();
    let suspects = if ended.is_empty() { "kubelet".to_owned() } else { ended.join(", ") };
    format!("cluster {} is not ready: read 'cluster logs COMPONENT' (init, {suspects})", dir.name)
}
