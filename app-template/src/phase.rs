//! How far the process is on its way out. I/O: it waits for signals.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

/// How long a connection that is idle when the drain begins may stay open.
///
/// An HTTP/1.1 server that closes an idle connection at once loses the request that its client has just sent
/// on it. A busy client sends its next request well within this time; that one is answered with
/// `Connection: close`, and the client leaves by itself.
const KEEP_ALIVE_GRACE: Duration = Duration::from_secs(1);

/// The life of the process, in order; it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Ready.
    Serving,
    /// Not ready any more, but new connections are still served; every answer asks for a new connection.
    LameDuck,
    /// No new connections; those that are open may each send one more request.
    Draining,
    /// Idle connections are closed; requests in flight finish.
    Closing,
}

/// Starts in [`Phase::Serving`] and walks to the end after the first SIGTERM or SIGINT.
///
/// # Errors
/// When the kernel refuses a signal handler.
pub(crate) fn advance_on_signal(lame_duck: Duration, drain: Duration) -> io::Result<watch::Receiver<Phase>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (phase, observer) = watch::channel(Phase::Serving);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        for (next, lasts) in [
            (Phase::LameDuck, lame_duck),
            // At most half, so that the other half is left for the last of their requests.
            (Phase::Draining, KEEP_ALIVE_GRACE.min(drain / 2)),
            (Phase::Closing, Duration::ZERO),
        ] {
            phase.send_replace(next);
            tracing::info!(phase = ?next, "shutting down");
            sleep(lasts).await;
        }
        // A dropped sender would read as "never reached" to whoever asks later.
        phase.closed().await;
    });
    Ok(observer)
}

/// Waits until the process has reached `wanted`.
pub(crate) async fn reached(mut phase: watch::Receiver<Phase>, wanted: Phase) {
    // The sender lives as long as any receiver, so this ends only when the phase is there.
    let _ = phase.wait_for(|now| *now >= wanted).await;
}
