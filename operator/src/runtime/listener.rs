//! The accept loop of an HTTP server that no client can fill: connections, heads and their times are bounded. I/O: sockets.
//!
//! A connection that is one too many ends the oldest, so a client that holds many idle ones keeps nobody else out.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::front_proxy::Gate;

/// Time for a TLS handshake, and for a request's head counted from the connection or from the answer before.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a request's head. A longer one is answered with 431.
pub const HEAD_BYTES: usize = 16 << 10;
/// Age at which a connection is closed after its current answer. Clients open another one.
const LIFETIME: Duration = Duration::from_secs(60);
/// Time for the current answer of a connection that is to be closed.
const CLOSING: Duration = Duration::from_secs(5);
/// Pause after a failed accept, for example without a free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Listens on the port at every address, over IPv6 and IPv4 where the machine has both.
///
/// # Errors
/// When the port is taken or may not be used.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// One HTTP server.
pub struct Server {
    /// Where it listens.
    pub listener: TcpListener,
    /// Connections at the same time.
    pub connections: usize,
    /// Whom it lets in; nothing for everybody, without TLS.
    pub gate: Option<Gate>,
    /// What it answers.
    pub router: Router,
}

impl Server {
    /// Serves until the token is cancelled; then current answers are finished.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let mut open = Connections::new(self.connections);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    open.add(serve(stream, self.gate.clone(), self.router.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
            // The new connection is looked at before the next one is accepted: of a flood, each gets its turn.
            tokio::task::yield_now().await;
        }
        // What has not ended by then is dropped with the set.
        let _ = timeout(CLOSING, async { while open.tasks.join_next().await.is_some() {} }).await;
        Ok(())
    }
}

/// The open connections, the oldest first.
struct Connections {
    tasks: JoinSet<()>,
    handles: VecDeque<AbortHandle>,
    most: usize,
}

impl Connections {
    fn new(most: usize) -> Self {
        Self { tasks: JoinSet::new(), handles: VecDeque::with_capacity(most), most }
    }

    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.handles.retain(|handle| !handle.is_finished());
        if self.handles.len() >= self.most
            && let Some(oldest) = self.handles.pop_front()
        {
            oldest.abort();
        }
        self.handles.push_back(self.tasks.spawn(connection));
    }
}

async fn serve(stream: TcpStream, gate: Option<Gate>, router: Router, stop: CancellationToken) {
    let Some(gate) = gate else { return answer(stream, router, stop).await };
    match timeout(HEAD_TIMEOUT, gate.admit(stream)).await {
        Ok(Ok(stream)) => answer(stream, router, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "refused a connection"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send, router: Router, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        // How a connection ends is the client's affair.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = sleep(LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(CLOSING, connection).await;
}
