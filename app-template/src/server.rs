//! Listening, and leaving without losing a request. I/O: sockets.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::serve::Listener;
use futures::TryFutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tower::Service;

use crate::connections::Connections;
use crate::phase::{Phase, reached};
use crate::refused_head::{Documented, Speech};
use crate::slow_taking::Prompt;

/// The largest head of a request that is read, in bytes. A larger one is answered 431.
const LARGEST_HEAD: usize = 32 * 1024;

/// How long handshakes that have begun may take to end once no new one is taken.
const HANDSHAKE: Duration = Duration::from_millis(200);

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
pub(crate) async fn serve_to_the_end(socket: Socket, app: Router, connections: (Arc<Connections>, Patience)) {
    // Whoever would end it has gone.
    let (_phase, never) = watch::channel(Phase::Serving);
    if let Err(error) = serve(socket, app, connections, never, Duration::MAX).await {
        tracing::error!(%error, "failed to go on serving metrics");
    }
}

/// In how many times of [`Patience::write`] a client has to take an answer as a whole.
const WHOLE_ANSWER: u32 = 4;

/// How long a client may keep its connection waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until the whole head of the next request has come.
    pub(crate) head: Duration,
    /// Until some of an answer is taken.
    pub(crate) write: Duration,
}

/// Serves until the phases have run out and every request is answered, or `drain` has passed since
/// [`Phase::Draining`].
pub(crate) async fn serve(
    socket: Socket,
    app: Router,
    (connections, patience): (Arc<Connections>, Patience),
    phase: watch::Receiver<Phase>,
    drain: Duration,
) -> Result<(), ServerError> {
    let graceful = GracefulShutdown::new();
    let serving = async {
        accept(socket, phase.clone(), |stream| {
            answer(stream, &app, &connections, patience, &graceful);
        })
        .await;
        reached(phase.clone(), Phase::Closing).await;
        graceful.shutdown().await;
    };
    let out_of_time = async {
        reached(phase.clone(), Phase::Draining).await;
        sleep(drain).await;
    };
    tokio::select! {
        () = serving => Ok(()),
        () = out_of_time => Err(ServerError::DrainTimedOut(drain)),
    }
}

/// Takes connections until [`Phase::Draining`], and those that clients believe to be open by then.
async fn accept(mut socket: Socket, phase: watch::Receiver<Phase>, mut take: impl FnMut(TcpStream)) {
    let mut draining = pin!(reached(phase, Phase::Draining));
    loop {
        tokio::select! {
            biased;
            () = &mut draining => break,
            // Out of files or memory it waits a second, and tries again.
            (stream, _) = Listener::accept(&mut socket.listener) => take(stream),
        }
    }
    // Closing resets the connections in the kernel's queue, and those whose handshake ends between the last look at it
    // and the close: their clients believe them to be open, and may have sent a request. So first no handshake begins
    // any more; a client that tries meanwhile repeats it a second later, and is refused.
    if let Err(error) = refuse_handshakes(&socket.listener) {
        tracing::debug!(%error, "handshakes are taken until the socket closes");
    }
    let rest = async {
        loop {
            take(Listener::accept(&mut socket.listener).await.0);
        }
    };
    // It never ends by itself.
    let _: Result<(), _> = timeout(HANDSHAKE, rest).await;
}

/// Drops the first packet of each new handshake; those under way end.
fn refuse_handshakes(listener: &TcpListener) -> io::Result<()> {
    // A classic BPF program over the TCP header: byte 13 holds the flags, 2 is SYN.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(JUMP_IF_SET, 0, 1, 2),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// Lets the process open as many files as it may, and returns how many connections of `wanted` that allows.
pub(crate) fn affordable_connections(wanted: usize) -> usize {
    /// Files that are no connections of clients: pools, logs, libraries.
    const OTHER_FILES: u64 = 256;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    let files = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    let affordable = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(1);
    if affordable < wanted {
        tracing::warn!(
            files,
            affordable,
            wanted,
            "fewer connections than wanted: raise the limit of open files"
        );
    }
    wanted.min(affordable)
}

/// Answers the requests of one connection, in a task of its own.
fn answer(
    stream: TcpStream,
    app: &Router,
    connections: &Arc<Connections>,
    patience: Patience,
    graceful: &GracefulShutdown,
) {
    let connection = connections.enter();
    let (app, of_request) = (app.clone(), Arc::clone(&connection));
    let speech = Speech::default();
    let spoken = speech.clone();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let speaking = spoken.begin();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(&of_request));
        app.clone().call(request).map_ok(|response| speaking.through(response))
    });
    // What has been written is sent at once; an error here shows again at the first write.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience.write));
    let stream = Prompt::new(Box::pin(stream), patience.write * WHOLE_ANSWER);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(Documented::new(stream, speech)), service);
    let serving = graceful.watch(serving);
    tokio::spawn(async move {
        tokio::select! {
            // What has come of a request is read before its connection makes room.
            biased;
            // A client that goes away or sends no HTTP is no news.
            _ = serving => {}
            () = connection.displaced() => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use axum::routing::get;

    use super::*;

    const PATIENCE: Patience = Patience { head: Duration::from_secs(60), write: Duration::from_secs(60) };

    /// One request; whether a connection was made, and whether it was answered.
    fn ask(address: SocketAddr) -> (bool, bool) {
        let Ok(mut stream) = std::net::TcpStream::connect(address) else { return (false, false) };
        let request = b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        let mut answer = String::new();
        let is_answered = stream.write_all(request).is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.starts_with("HTTP/1.1 200");
        (true, is_answered)
    }

    /// Clients connect as fast as they can while the socket closes, again and again.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_was_connected_when_the_socket_closed_is_answered() {
        let lost = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let socket = listen("127.0.0.1:0".parse().unwrap(), "--port").await.unwrap();
            let address = socket.address;
            let (sender, phase) = watch::channel(Phase::Serving);
            let app = Router::new().route("/", get(async || "here"));
            let connections = Connections::new("test", 1000);
            let served =
                tokio::spawn(serve(socket, app, (connections, PATIENCE), phase, Duration::from_secs(30)));
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    let lost = Arc::clone(&lost);
                    thread::spawn(move || {
                        while let (true, is_answered) = ask(address) {
                            lost.fetch_add(usize::from(!is_answered), Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            sleep(Duration::from_millis(20)).await;
            sender.send_replace(Phase::Draining);
            sleep(HANDSHAKE * 2).await;
            sender.send_replace(Phase::Closing);
            served.await.unwrap().unwrap();
            tokio::task::spawn_blocking(|| clients.into_iter().for_each(|client| client.join().unwrap()))
                .await
                .unwrap();
        }
        assert_eq!(lost.load(Ordering::SeqCst), 0);
    }
}
