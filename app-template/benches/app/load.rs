//! A closed loop: each connection sends its next request when it has the answer to the last. I/O: sockets.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::body::Bytes;
use futures::future::try_join_all;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What is asked for, in this order and again from the beginning.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) paths: Rc<[Uri]>,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    /// Products by number.
    pub(crate) fn products(numbers: std::ops::RangeInclusive<i64>) -> Self {
        let path = |number| Uri::from_maybe_shared(format!("/products/{number}")).unwrap();
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("bench"))]);
        Self { paths: numbers.map(path).collect(), headers }
    }

    pub(crate) fn with(mut self, header: &'static str, value: &str) -> Result<Self> {
        self.headers.insert(header, value.parse()?);
        Ok(self)
    }
}

/// Open connections to one server.
pub(crate) struct Clients {
    connections: Vec<SendRequest<Empty<Bytes>>>,
    asked: Asked,
    next: Cell<usize>,
}

impl Clients {
    pub(crate) async fn connect(address: SocketAddr, count: usize, asked: &Asked) -> Result<Self> {
        let connections = try_join_all((0..count).map(async |_| {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (sender, driver) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(driver);
            anyhow::Ok(sender)
        }));
        Ok(Self { connections: connections.await?, asked: asked.clone(), next: Cell::new(0) })
    }

    /// Sends for `time` on all connections, and returns how many requests were answered in a second.
    pub(crate) async fn run(&mut self, time: Duration) -> Result<f64> {
        let Self { connections, asked, next } = self;
        let (asked, next) = (&*asked, &*next);
        let begun = Instant::now();
        let answered = try_join_all(connections.iter_mut().map(async |connection| {
            let mut answered = 0_u32;
            while begun.elapsed() < time {
                let at = next.get();
                next.set((at + 1) % asked.paths.len());
                let (head, body) = exchange(connection, asked, at).await?;
                ensure!(head.status == StatusCode::OK, "{}: {}: {body:?}", asked.paths[at], head.status);
                answered += 1;
            }
            Ok(f64::from(answered))
        }));
        let answered: f64 = answered.await?.iter().sum();
        Ok(answered / begun.elapsed().as_secs_f64())
    }

    /// What both sides have to answer alike: the status, the type and the body.
    pub(crate) async fn first(&mut self) -> Result<(StatusCode, Option<HeaderValue>, Bytes)> {
        let (head, body) = exchange(&mut self.connections[0], &self.asked, 0).await?;
        Ok((head.status, head.headers.get(CONTENT_TYPE).cloned(), body))
    }
}

async fn exchange(
    connection: &mut SendRequest<Empty<Bytes>>,
    asked: &Asked,
    at: usize,
) -> Result<(Parts, Bytes)> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = asked.paths[at].clone();
    *request.headers_mut() = asked.headers.clone();
    let (head, body) = connection.send_request(request).await?.into_parts();
    Ok((head, body.collect().await?.to_bytes()))
}
