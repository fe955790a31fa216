//! Listening, and leaving without losing a request. I/O: sockets.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::phase::{Phase, reached};

/// Why a port was not served to the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is taken, not ours, or the port is privileged.
    #[error("failed to listen on {address}, choose another port with {flag}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The argument that chooses it.
        flag: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Requests were still open at the end of the drain time.
    #[error("failed to finish all requests within the drain time of {0:?}")]
    DrainTimedOut(Duration),
    /// Accepting ended by itself.
    #[error("failed to go on serving: {0}")]
    Serve(#[source] io::Error),
}

/// A socket that takes connections, and the address that it got.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: TcpListener,
    /// With the port that the kernel chose if 0 was asked for.
    pub(crate) address: SocketAddr,
}

/// Opens `address`; `flag` is the argument that a person would change when that fails.
pub(crate) async fn listen(address: SocketAddr, flag: &'static str) -> Result<Socket, ServerError> {
    let failed = |source| ServerError::Listen { address, flag, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Socket { listener, address })
}

/// Serves until the process ends.
pub(crate) async fn serve_to_the_end(socket: Socket, app: Router) {
    if let Err(error) = axum::serve(socket.listener, app).await {
        tracing::error!(%error, "failed to go on serving metrics");
    }
}

/// Serves until the phases have run out and every request is answered, or `drain` has passed since
/// [`Phase::Draining`].
pub(crate) async fn serve(
    socket: Socket,
    app: Router,
    phase: watch::Receiver<Phase>,
    drain: Duration,
) -> Result<(), ServerError> {
    let listener = UntilDraining {
        open: Some(socket.listener),
        queued: Vec::new(),
        address: socket.address,
        phase: phase.clone(),
    };
    let serving = axum::serve(listener, app).with_graceful_shutdown(reached(phase.clone(), Phase::Closing));
    let out_of_time = async {
        reached(phase, Phase::Draining).await;
        sleep(drain).await;
    };
    tokio::select! {
        outcome = serving => outcome.map_err(ServerError::Serve),
        () = out_of_time => Err(ServerError::DrainTimedOut(drain)),
    }
}

/// A listener that hangs up at [`Phase::Draining`], and still takes those who were in the queue by then.
struct UntilDraining {
    open: Option<TcpListener>,
    queued: Vec<(TcpStream, SocketAddr)>,
    address: SocketAddr,
    phase: watch::Receiver<Phase>,
}

impl Listener for UntilDraining {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        if let Some(listener) = &mut self.open {
            tokio::select! {
                accepted = Listener::accept(listener) => return accepted,
                () = reached(self.phase.clone(), Phase::Draining) => {}
            }
        }
        if let Some(listener) = self.open.take() {
            self.queued = close(listener);
        }
        match self.queued.pop() {
            Some(accepted) => accepted,
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Empties the kernel's queue of connections, then closes the socket.
///
/// Closing resets whatever is in that queue: connections that their clients believe to be open, and on which
/// they may have sent a request.
fn close(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    // Not blocking, as tokio left it: an empty queue is an error and ends the iteration.
    std::iter::from_fn(|| listener.accept().ok())
        .filter_map(|(stream, client)| {
            stream.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(stream).ok()?, client))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_is_in_the_queue_when_the_socket_closes_is_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();

        let queued = close(listener);

        let of = |client: &std::net::TcpStream| client.local_addr().unwrap();
        assert_eq!(
            queued.iter().map(|(_, peer)| *peer).collect::<Vec<_>>(),
            clients.iter().map(of).collect::<Vec<_>>()
        );
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}
