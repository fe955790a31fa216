//! Work that leaves nothing behind when somebody ends it. Listens for signals.

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// The outcome of some work, which SIGINT or SIGTERM turns into an error, so that what follows it is done all the same.
///
/// # Errors
/// Those of the work, and when it was ended.
pub async fn until_ended<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = work => outcome,
        _ = interrupted.recv() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    }
}
