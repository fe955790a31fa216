//! Checks what a command lacks on this machine, before anything is done: one sentence for each problem. Reads only.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use nix::unistd::Uid;

use super::command::output;
use super::nodes::Nodes;
use super::parts;
use super::paths::{Cache, ClusterDir};
use super::status::{cgroup_processes, running_init};

/// Free space in GiB for the build of the parts, with the compiler's cache, and for images and a cluster once they are
/// built; both with a margin.
const BUILD_GIB: u64 = 15;
const RUN_GIB: u64 = 5;

/// Checks `cluster parts`.
///
/// # Errors
/// One sentence a line.
pub fn before_parts(cache: &Cache, nodes: Nodes) -> Result<()> {
    report(&if parts::any_missing(cache, nodes)? {
        [go_problem(nodes), disk_problem(cache, BUILD_GIB)]
    } else {
        [None, disk_problem(cache, RUN_GIB)]
    })
}

/// Checks a command that needs root and Debian.
///
/// # Errors
/// One sentence a line.
pub fn before_root_command(command: &str) -> Result<()> {
    report(&[root_problem(command), debian_problem()])
}

/// Checks `cluster up`, except for the port, which is checked by its use.
///
/// # Errors
/// One sentence a line.
pub fn before_up(cache: &Cache, cluster: &ClusterDir, nodes: Nodes) -> Result<()> {
    before_root_command("cluster up")?;
    before_parts(cache, nodes)?;
    report(&[namespace_problem(), other_cluster_problem(cluster)])
}

/// Checks `cluster down`.
///
/// # Errors
/// One sentence a line.
pub fn before_down(cluster: &ClusterDir) -> Result<()> {
    before_root_command("cluster down")?;
    report(&[other_cluster_problem(cluster)])
}

fn report(problems: &[Option<String>]) -> Result<()> {
    let found: Vec<&str> = problems.iter().flatten().map(String::as_str).collect();
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    Ok(())
}

fn root_problem(command: &str) -> Option<String> {
    let message = format!("'{command}' needs root for namespaces, mounts and cgroups: run it with sudo");
    (!Uid::effective().is_root()).then_some(message)
}

fn debian_problem() -> Option<String> {
    let message =
        "apt-get is missing: this machine is not Debian; use a cluster of your own by KUBECONFIG instead";
    (!Path::new("/usr/bin/apt-get").exists()).then(|| message.to_owned())
}

/// Go itself reports for a part's module whether it is new enough.
fn go_problem(nodes: Nodes) -> Option<String> {
    parts::needed_by(nodes).find_map(|part| {
        let mut go = Command::new("go");
        let error = output(go.args(["list", "-m"]).env("GOFLAGS", "").current_dir(part.module())).err()?;
        Some(format!("the parts need Go: {error:#}"))
    })
}

fn disk_problem(cache: &Cache, needed_gib: u64) -> Option<String> {
    let existing = cache.root().ancestors().find(|folder| folder.exists())?;
    let disk = nix::sys::statvfs::statvfs(existing).ok()?;
    let free_gib = (disk.blocks_available() * disk.fragment_size()) >> 30;
    (free_gib < needed_gib).then(|| {
        format!(
            "{free_gib} GiB are free where the cache lies ({}), and {needed_gib} are needed: free some, or set SCALABLEAPP_CACHE to a folder on another disk",
            cache.root().display()
        )
    })
}

fn namespace_problem() -> Option<String> {
    let error =
        output(Command::new("unshare").args(["--net", "--mount", "--pid", "--fork", "true"])).err()?;
    Some(format!("this machine refuses namespaces of our own, which isolate the cluster: {error:#}"))
}

fn other_cluster_problem(cluster: &ClusterDir) -> Option<String> {
    if running_init(cluster).is_some() {
        return None;
    }
    let processes = cgroup_processes(cluster);
    (!processes.is_empty()).then(|| {
        format!(
            "a cluster '{}' with another state folder is up (process {}): take it down with the SCALABLEAPP_CACHE that it was brought up with, or choose another --name",
            cluster.name, processes[0]
        )
    })
}

/// Why the port is not available, and what to do.
pub(super) fn port_problem(port: u16, error: &std::io::Error) -> String {
    let taken = error.kind() == std::io::ErrorKind::AddrInUse;
    let reason = if taken { "another program listens on it".to_owned() } else { error.to_string() };
    format!(
        "port {port} of 127.0.0.1 cannot be taken ({reason}): choose another with --port, or --port 0 for any free one"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_told_at_once() {
        let error = report(&[Some("first".into()), None, Some("second".into())]).unwrap_err();
        assert_eq!(error.to_string(), "first\nsecond");
        assert!(report(&[None, None]).is_ok());
    }

    #[test]
    fn a_taken_port_is_told_with_the_option_that_changes_it() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap_err();
        let problem = port_problem(port, &error);
        assert!(problem.contains("another program listens") && problem.contains("--port"), "{problem}");
    }
}
