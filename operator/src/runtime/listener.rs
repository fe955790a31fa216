//! The accept loop of an HTTP server with bounded connections, request heads and times. I/O: sockets.
//!
//! A connection above the limit closes the oldest one of its kind, so a client with many idle ones blocks nobody else.
//! There are two kinds: connections that passed the gate, and those that have not yet.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
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

/// Time for a TLS handshake, and for a request's head after the connection or the previous answer.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a request's head. A longer one is answered with 431.
pub const HEAD_BYTES: usize = 16 << 10;
/// Bytes of a head behind a gate: an API server sends one header line for each group of a user.
const GATED_HEAD_BYTES: usize = 256 << 10;
/// Connections before the gate at the same time: more than a client opens during another one's handshake.
const BEFORE_GATE: usize = 256;
/// Age at which a connection is closed after its current answer. Clients open another one.
const LIFETIME: Duration = Duration::from_secs(60);
/// Time for the current answer of a connection that is being closed.
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
    /// Connections at the same time, without those before the gate.
    pub connections: usize,
    /// The gate; `None` for all clients, without TLS.
    pub gate: Option<Gate>,
    /// The service.
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
                    let is_let_in = Arc::new(AtomicBool::new(self.gate.is_none()));
                    let (gate, router, stop) = (self.gate.clone(), self.router.clone(), stop.clone());
                    open.add(serve(stream, gate, router, stop, Arc::clone(&is_let_in)), is_let_in);
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
            // The new connection is polled before the next one is accepted: in a flood each is served.
            tokio::task::yield_now().await;
        }
        // Connections that have not ended by then are dropped with the set.
        let _ = timeout(CLOSING, async { while open.tasks.join_next().await.is_some() {} }).await;
        Ok(())
    }
}

/// The open connections, the oldest first.
struct Connections {
    tasks: JoinSet<()>,
    open: VecDeque<(AbortHandle, Arc<AtomicBool>)>,
    most: usize,
}

impl Connections {
    fn new(most: usize) -> Self {
        Self { tasks: JoinSet::new(), open: VecDeque::with_capacity(most), most }
    }

    /// Adds a connection; `is_let_in` is whether it has passed the gate.
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static, is_let_in: Arc<AtomicBool>) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|(handle, _)| !handle.is_finished());
        self.open.push_back((self.tasks.spawn(connection), is_let_in));
        for (let_in, most) in [(true, self.most), (false, BEFORE_GATE)] {
            let of_kind = |(_, one): &&(AbortHandle, Arc<AtomicBool>)| one.load(Relaxed) == let_in;
            let too_many = self.open.iter().filter(of_kind).count().saturating_sub(most);
            self.open.iter().filter(of_kind).take(too_many).for_each(|(oldest, _)| oldest.abort());
        }
    }
}

async fn serve(
    stream: TcpStream,
    gate: Option<Gate>,
    router: Router,
    stop: CancellationToken,
    is_let_in: Arc<AtomicBool>,
) {
    let Some(gate) = gate else { return answer(stream, HEAD_BYTES, router, stop).await };
    match timeout(HEAD_TIMEOUT, gate.admit(stream)).await {
        Ok(Ok(stream)) => {
            is_let_in.store(true, Relaxed);
            answer(stream, GATED_HEAD_BYTES, router, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "refused a connection"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    head_bytes: usize,
    router: Router,
    stop: CancellationToken,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(head_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        // How a connection ends is up to the client.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = sleep(LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(CLOSING, connection).await;
}
