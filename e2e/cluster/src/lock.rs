//! One command at a time changes a cluster, and one builds parts. Locks files.

use std::fs::File;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use super::parts::create_file;
use super::paths::{Cache, ClusterDir};

/// Blocks other commands from starting or deleting the cluster until it is dropped, or this process ends.
pub(super) fn hold(cache: &Cache, dir: &ClusterDir) -> Result<Flock<File>> {
    let file = create_file(&cache.lock(&dir.name))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(held) => Ok(held),
        Err(_) => bail!("another command is bringing cluster {} up or down: wait for it", dir.name),
    }
}

/// Waits until no other command builds parts, and blocks others until it is dropped, or this process ends.
pub(super) fn hold_parts(cache: &Cache) -> Result<Flock<File>> {
    let file = create_file(&cache.parts_lock())?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .context("failed to wait for another build of the parts")
}
