//! Shutdown of the process by a signal. I/O: signals.

use std::io;
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit status after a second signal: 128 plus the number of SIGTERM, as shells count.
const KILLED: i32 = 143;

/// A token for every loop: the first SIGTERM or SIGINT cancels it.
///
/// The second signal ends the process at once, for an impatient user. The listeners are installed before
/// this returns, so that no signal is lost.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let stopping = token.clone();
    tokio::spawn(async move {
        next(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping; a second signal ends the process at once");
        stopping.cancel();
        next(&mut terminate, &mut interrupt).await;
        process::exit(KILLED);
    });
    Ok(token)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
