//! Deletes a cluster without a trace.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::machine::Machine;
use super::paths::{CGROUP_PARENT, Cache, ClusterDir};
use super::status::running_init;
use super::{doctor, lock};

/// Time limit for the end of the cluster's processes and the release of its cgroups.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends the cluster and removes its cgroups and its state. Also works after a crash.
///
/// # Errors
/// When something remains; it can be called again.
pub fn down(cache: &Cache, dir: &ClusterDir) -> Result<()> {
    doctor::before_down(dir)?;
    let _held = lock::hold(cache, dir)?;
    remove(dir)
}

pub(super) fn remove(dir: &ClusterDir) -> Result<()> {
    end_processes(dir)?;
    remove_cgroups(dir)?;
    unmount_all(&dir.root)?;
    match fs::remove_dir_all(&dir.root) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", dir.root.display()))
        }
        _ => Ok(()),
    }
}

/// The kernel ends all processes of a process namespace with its process 1. The network and the mounts end with the
/// last process that uses them.
fn end_processes(dir: &ClusterDir) -> Result<()> {
    let Some(pid) = running_init(dir) else { return Ok(()) };
    kill(Pid::from_raw(pid), Signal::SIGKILL).with_context(|| format!("failed to end process {pid}"))?;
    let ended = within_patience(|| running_init(dir).is_none());
    if !ended {
        bail!("process {pid} has not ended after {} s", PATIENCE.as_secs());
    }
    Ok(())
}

fn remove_cgroups(dir: &ClusterDir) -> Result<()> {
    let cgroups = Machine::observe()?.cgroups;
    for folder in cgroups.folders(&dir.cgroup()) {
        // A cgroup is busy for a moment after the end of its last process.
        let removed = within_patience(|| remove_cgroup(&folder).is_ok());
        if !removed {
            remove_cgroup(&folder)
                .with_context(|| format!("failed to remove the cgroup {}", folder.display()))?;
        }
    }
    for parent in cgroups.folders(CGROUP_PARENT) {
        // Another cluster's cgroup keeps it.
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

/// Removes a cgroup's folder after its children. Its files belong to the kernel and disappear with it.
fn remove_cgroup(folder: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

/// A check: nothing of a cluster is mounted outside its namespace, but a removal through a mount would delete the
/// mounted files.
fn unmount_all(root: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    for target in targets.filter(|target| target.starts_with(root)).collect::<Vec<_>>().into_iter().rev() {
        umount2(target, MntFlags::MNT_DETACH)
            .with_context(|| format!("failed to unmount {}", target.display()))?;
    }
    Ok(())
}

fn within_patience(mut holds: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if holds() {
            return true;
        }
        sleep(Duration::from_millis(50));
    }
    false
}
