//! Cleanup after an interruption. Listens for signals.

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// The result of some work, or an error after SIGINT or SIGTERM, so that the cleanup after it runs in any case.
///
/// # Errors
/// Those of the work, and when it was interrupted.
pub async fn until_ended<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = work => outcome,
        _ = interrupted.recv() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    }
}
