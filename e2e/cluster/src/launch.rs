//! Starts a cluster's process 1 in new namespaces. Runs as a separate process, which ends at once.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};

use super::certificates::write_private;
use super::nodes::Nodes;
use super::paths::ClusterDir;
use super::status::start_time;

/// Creates the network and process namespaces and starts `cluster init` in them, which creates its own mount namespace:
/// this process still has to see the machine's `/proc`. Standard input is the forwarder's listening socket, which was
/// created in the machine's network namespace and stays there.
///
/// # Errors
/// When the kernel refuses the namespaces. Must be called before this process has started any thread.
pub fn launch(dir: &ClusterDir, nodes: Nodes, max_run: Duration) -> Result<()> {
    nix::unistd::setsid().context("failed to leave the terminal's session")?;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID).context("failed to make namespaces")?;
    let log = OpenOptions::new().create(true).append(true).open(dir.log("init"))?;
    let mut init = Command::new(std::env::current_exe()?)
        .args(["init", "--name", &dir.name, "--max-run", &format!("{}s", max_run.as_secs())])
        .args(nodes.flag())
        .current_dir("/")
        .stdin(Stdio::inherit())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("failed to start the cluster's process 1")?;
    let recorded = record(dir, init.id());
    if recorded.is_err() {
        // A cluster without a record could never be deleted.
        let _ = init.kill();
    }
    recorded
}

fn record(dir: &ClusterDir, pid: u32) -> Result<()> {
    let started = start_time(pid).context("the cluster's process 1 ended at once")?;
    write_private(&dir.init_pid(), &format!("{pid} {started}\n"))
}
