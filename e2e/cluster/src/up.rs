//! Starts a cluster, from any state of the machine.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::machine::{Cgroups, Machine};
use super::nodes::Nodes;
use super::parts::{build_all, create_file};
use super::paths::{CGROUP_PARENT, Cache, ClusterDir, HIDDEN};
use super::progress::step;
use super::status::{running_init, running_nodes};
use super::{certificates, config, doctor, down, image, lock, packages, ready, volumes};
use anyhow::{Context, Result, anyhow, bail};

/// The options of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpOptions {
    /// Port of the API server on 127.0.0.1; 0 selects any free one.
    pub port: u16,
    /// Lifetime of the cluster.
    pub max_run: Duration,
    /// The node implementation.
    pub nodes: Nodes,
}

/// Starts the cluster and waits until it is ready. Reports if it is running already.
///
/// # Errors
/// When the machine lacks something, or the cluster does not become ready.
pub fn up(cache: &Cache, dir: &ClusterDir, options: UpOptions) -> Result<()> {
    doctor::before_up(cache, dir, options.nodes)?;
    let _held = lock::hold(cache, dir)?;
    if running_init(dir).is_some() {
        if running_nodes(dir)? != options.nodes {
            bail!(
                "cluster {} is up with another kind of node: take it down first, or choose another --name",
                dir.name
            );
        }
        ready::wait(cache, dir, options.nodes)?;
        eprintln!("cluster {} is already up: export KUBECONFIG={}", dir.name, dir.kubeconfig().display());
        return Ok(());
    }
    down::remove(dir).context("failed to remove what an earlier run has left")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .map_err(|error| anyhow!(doctor::port_problem(options.port, &error)))?;
    packages::ensure()?;
    build_all(cache, options.nodes)?;
    let images = match options.nodes {
        Nodes::Real => image::cluster_images(cache)?,
        Nodes::Hollow => Vec::new(),
    };
    step("cluster: certificates and settings", || prepare(dir, listener.local_addr()?.port()))?;
    start(dir, listener, options)?;
    if options.nodes == Nodes::Real {
        ready::wait_for_containerd(dir)?;
    }
    for (tag, archive) in &images {
        image::load(dir, tag, archive)?;
    }
    ready::wait(cache, dir, options.nodes)?;
    eprintln!("cluster {} is up: export KUBECONFIG={}", dir.name, dir.kubeconfig().display());
    Ok(())
}

fn prepare(dir: &ClusterDir, port: u16) -> Result<()> {
    let machine = Machine::observe()?;
    certificates::write(dir)?;
    config::write(dir, machine.settings(), port)?;
    create_file(&dir.log("init"))?;
    for hidden in HIDDEN {
        fs::create_dir_all(dir.private(hidden))?;
    }
    volumes::create_folders(dir)?;
    create_cgroups(&machine.cgroups, dir)
}

fn create_cgroups(cgroups: &Cgroups, dir: &ClusterDir) -> Result<()> {
    for folder in cgroups.folders(&dir.cgroup()) {
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make the cgroup {}", folder.display()))?;
    }
    if let Cgroups::V2(_) = cgroups {
        for level in ["/", CGROUP_PARENT, &dir.cgroup()] {
            for folder in cgroups.folders(level) {
                delegate(&folder)?;
            }
        }
    }
    Ok(())
}

/// Enables all controllers of a version 2 cgroup for its children.
fn delegate(folder: &Path) -> Result<()> {
    let available = fs::read_to_string(folder.join("cgroup.controllers"))?;
    for controller in available.split_whitespace() {
        // Some cannot be delegated everywhere; the kubelet reports the missing one.
        let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
    }
    Ok(())
}

/// Starts process 1 through a process that ends at once, so that this one stays in the machine's namespaces.
fn start(dir: &ClusterDir, listener: TcpListener, options: UpOptions) -> Result<()> {
    let status = Command::new(std::env::current_exe()?)
        .args(["launch", "--name", &dir.name, "--max-run", &format!("{}s", options.max_run.as_secs())])
        .args(options.nodes.flag())
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .status()?;
    if !status.success() {
        bail!("failed to start cluster {}: read {}", dir.name, dir.log("init").display());
    }
    Ok(())
}
