//! One HTTP/1.1 connection, and the idle ones that wait to be used again. Talks to the target.

use std::sync::Mutex;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::report::Outcome;

/// A connection that has answered all that it was asked.
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    /// How many requests it may still carry.
    left: u32,
}

/// The connections to one target that are not in use.
pub(super) struct Pool {
    target: Uri,
    requests_per_connection: u32,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(target: Uri, requests_per_connection: u32) -> Self {
        Self { target, requests_per_connection, idle: Mutex::new(Vec::new()) }
    }

    /// Sends one request and reads its answer to the end.
    pub(super) async fn get(&self) -> Outcome {
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
            match self.request(&mut connection).await {
                Ok(outcome) => {
                    self.put_back(connection);
                    return outcome;
                }
                // The server had closed an idle connection, and the request has not left. Every client tries again.
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
        Ok(Connection { sender, left: self.requests_per_connection })
    }

    async fn request(&self, connection: &mut Connection) -> hyper::Result<Outcome> {
        connection.sender.ready().await?;
        connection.left -= 1;
        let mut request = Request::new(Empty::new());
        let path = self.target.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().unwrap_or_default();
        if let Some(host) = self.target.authority().and_then(|authority| authority.as_str().parse().ok()) {
            request.headers_mut().insert(header::HOST, host);
        }
        if connection.left == 0 {
            request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        let answer = connection.sender.send_request(request).await?;
        let outcome = if answer.status().is_success() { Outcome::Ok } else { Outcome::Status };
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(outcome)
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle.lock().ok()?.pop()
    }

    fn put_back(&self, connection: Connection) {
        if connection.left > 0
            && let Ok(mut idle) = self.idle.lock()
        {
            idle.push(connection);
        }
    }
}
