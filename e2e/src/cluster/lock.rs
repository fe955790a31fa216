//! One command at a time changes a cluster. Locks a file.

use std::fs::File;

use anyhow::{Result, bail};
use nix::fcntl::{Flock, FlockArg};

use super::parts::create_file;
use super::paths::{Cache, ClusterDir};

/// Keeps other commands from bringing the cluster up or down until it is dropped, or this process ends.
pub(super) fn hold(cache: &Cache, dir: &ClusterDir) -> Result<Flock<File>> {
    let file = create_file(&cache.lock(&dir.name))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(held) => Ok(held),
        Err(_) => bail!("another command is bringing cluster {} up or down: wait for it", dir.name),
    }
}
