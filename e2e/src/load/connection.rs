//! One HTTP/1.1 connection, and the pool of idle ones. Talks to the target.

use std::sync::Mutex;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::report::Outcome;

/// The reference service's mark of a degraded answer.
const DEGRADED: &str = "x-degraded";

/// Longest idle time of a reusable connection. A stopping pod closes one that was idle for a second (the reference
/// service's README, "Shutdown"), and no client can know whether a request was lost by that. A client that must
/// lose none closes it first, with a margin for a stalled machine.
const LONGEST_IDLE: Duration = Duration::from_millis(250);

/// A connection without an open request.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    idle_since: Instant,
    /// Remaining requests.
    left: u32,
}

/// The unused connections to one target.
pub(super) struct Pool {
    target: Uri,
    /// The body of a POST; without it requests are GETs.
    post: Option<Bytes>,
    requests_per_connection: u32,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(target: Uri, post: Option<String>, requests_per_connection: u32) -> Self {
        Self { target, post: post.map(Bytes::from), requests_per_connection, idle: Mutex::new(Vec::new()) }
    }

    /// Sends the request of this number and reads its answer to the end.
    pub(super) async fn send(&self, number: u64) -> Outcome {
        loop {
            let idle = self.take_idle();
            let reused = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                None => match self.connect().await {
                    Ok(connection) => connection,
                    Err(_) => return Outcome::Connect,
                },
            };
            match self.exchange(&mut connection, number).await {
                Ok(outcome) => {
                    self.put_back(connection);
                    return outcome;
                }
                // The server closed an idle connection before the request was sent. Every client retries then.
                Err(error) if reused && (error.is_canceled() || error.is_closed()) => {}
                Err(_) => return Outcome::Reset,
            }
        }
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let address = (self.target.host().unwrap_or_default(), self.target.port_u16().unwrap_or(80));
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Connection { sender, idle_since: Instant::now(), left: self.requests_per_connection })
    }

    async fn exchange(&self, connection: &mut Connection, number: u64) -> hyper::Result<Outcome> {
        connection.sender.ready().await?;
        connection.left -= 1;
        let mut request = self.request(number);
        if connection.left == 0 {
            request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        let answer = connection.sender.send_request(request).await?;
        let outcome = outcome(&answer);
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(outcome)
    }

    fn request(&self, number: u64) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.post.clone().unwrap_or_default()));
        let path = self.target.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        if let Some(host) = self.target.authority().and_then(|authority| authority.as_str().parse().ok()) {
            headers.insert(header::HOST, host);
        }
        if self.post.is_some() {
            headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            // Every request is sent twice, as by a client that lost the first answer.
            headers.insert("idempotency-key", (number / 2).into());
            *request.method_mut() = Method::POST;
        }
        request
    }

    /// The most recently used one; those that were idle for too long are closed.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().ok()?;
        idle.retain(|connection| connection.idle_since.elapsed() < LONGEST_IDLE);
        idle.pop()
    }

    fn put_back(&self, mut connection: Connection) {
        connection.idle_since = Instant::now();
        if connection.left > 0
            && let Ok(mut idle) = self.idle.lock()
        {
            idle.push(connection);
        }
    }
}

fn outcome(answer: &Response<Incoming>) -> Outcome {
    let is_marked = answer.headers().get(DEGRADED).is_some_and(|mark| mark == "shed");
    match answer.status() {
        status if status.is_success() => Outcome::Ok,
        StatusCode::SERVICE_UNAVAILABLE if is_marked => Outcome::Shed,
        _ => Outcome::Status,
    }
}
