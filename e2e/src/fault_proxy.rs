//! A proxy between an operator and the API server that can delay a write, as a network or a stopped process does. I/O:
//! one TCP port of 127.0.0.1.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kube::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// Longest body of a forwarded request.
const LONGEST_BODY: usize = 4 * 1024 * 1024;

/// A running proxy. It ends when it is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    hold: Arc<Hold>,
    task: JoinHandle<()>,
}

/// The delayed request, and its release.
#[derive(Default)]
struct Hold {
    wanted: Mutex<Option<Wanted>>,
    arrived: Notify,
    release: Notify,
}

struct Wanted {
    method: Method,
    path: String,
    body: String,
    answered: oneshot::Sender<StatusCode>,
}

#[derive(Clone)]
struct Proxied {
    client: Client,
    hold: Arc<Hold>,
}

/// A request that will be, or is, delayed.
pub struct Held {
    hold: Arc<Hold>,
    answered: oneshot::Receiver<StatusCode>,
}

impl FaultProxy {
    /// Starts a proxy to the API server of `client`, with its rights.
    ///
    /// # Errors
    /// When no port is available.
    pub async fn start(client: Client) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("failed to listen")?;
        let address = listener.local_addr().context("failed to learn the port")?;
        let hold = Arc::<Hold>::default();
        let router = Router::new().fallback(pass_on).with_state(Proxied { client, hold: Arc::clone(&hold) });
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the fault proxy ended: {error}");
            }
        });
        Ok(Self { address, hold, task })
    }

    /// Base URL of the API server for the operator.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a kubeconfig for the proxy.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(&self, directory: &Path) -> Result<PathBuf> {
        let path = directory.join("kubeconfig");
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": self.url()}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        });
        std::fs::write(&path, config.to_string())
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path)
    }

    /// Delays the next request with this method whose path and body contain these texts.
    #[must_use]
    pub fn hold_next(&self, method: Method, path: &str, body: &str) -> Held {
        let (answer, answered) = oneshot::channel();
        let wanted = Wanted { method, path: path.to_owned(), body: body.to_owned(), answered: answer };
        *self.hold.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(wanted);
        Held { hold: Arc::clone(&self.hold), answered }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Held {
    /// Ends when the request has arrived and is delayed.
    pub async fn arrived(&self) {
        self.hold.arrived.notified().await;
    }

    /// Releases the request, and returns the API server's answer to it.
    ///
    /// # Errors
    /// When the request was lost before it was answered.
    pub async fn release(self) -> Result<StatusCode> {
        self.hold.release.notify_one();
        self.answered.await.context("the request that was held back got no answer")
    }
}

async fn pass_on(State(proxied): State<Proxied>, request: Request) -> Response {
    match forward(&proxied, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

async fn forward(proxied: &Proxied, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let body = body::to_bytes(body, LONGEST_BODY).await.context("failed to read the request")?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let held = proxied.hold.take(&parts.method, &path, &String::from_utf8_lossy(&body));
    if held.is_some() {
        proxied.hold.arrived.notify_one();
        proxied.hold.release.notified().await;
    }
    let mut onward = axum::http::Request::builder().method(parts.method).uri(path);
    for name in [header::CONTENT_TYPE, header::ACCEPT] {
        if let Some(value) = parts.headers.get(&name) {
            onward = onward.header(name, value);
        }
    }
    let onward =
        onward.body(kube::client::Body::from(body.to_vec())).context("failed to build the request")?;
    // In its own task: the API server gets the write even if its sender no longer waits, as it would from a network.
    let client = proxied.client.clone();
    let answer = tokio::spawn(async move { client.send(onward).await });
    let answer =
        answer.await.context("the request was given up")?.context("failed to reach the API server")?;
    if let Some(answered) = held {
        // The receiver is gone if the test has failed meanwhile.
        let _ = answered.send(answer.status());
    }
    Ok(answer.map(Body::new))
}

impl Hold {
    /// The waiting test for this request, if it is the delayed one.
    fn take(&self, method: &Method, path: &str, body: &str) -> Option<oneshot::Sender<StatusCode>> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let matches = wanted.as_ref().is_some_and(|wanted| {
            wanted.method == *method && path.contains(&wanted.path) && body.contains(&wanted.body)
        });
        if matches { wanted.take().map(|wanted| wanted.answered) } else { None }
    }
}
