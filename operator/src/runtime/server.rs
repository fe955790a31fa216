//! The HTTP endpoints of the process: health, metrics and live measurements. I/O: on their own threads, so that no tick
//! delays an answer, and no other request delays a probe.
//!
//! | port | path | answer |
//! |---|---|---|
//! | `--probe-port` | `/livez` | 200 while the tick loop turns, else 503 |
//! | | `/readyz` | 200 once every watch has its first list; leader and standby alike |
//! | `--http-port` | `/metrics` | the process' own metrics, for Prometheus |
//! | `--live-port` | `/apis/live.scalableapp.dev/...` | the aggregated API of the [live measurements](LiveApp), to the API server alone |

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::try_join_all;
use metrics_exporter_prometheus::PrometheusHandle;
use scalableapp_crds::{LIVE_GROUP, LIVE_VERSION, LiveApp, live_path};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::front_proxy::Gate;
use super::health::Health;
use super::lease::{Leadership, NotLeader};
use super::listener::Server;
use super::live::LiveSource;

/// Connections at the same time of the kubelet and other clients of the port.
const PROBE_CONNECTIONS: usize = 64;
/// Connections for `/metrics`: an answer may have a megabyte.
const METRICS_CONNECTIONS: usize = 16;
/// Connections of API servers; users share them.
const LIVE_CONNECTIONS: usize = 32;

/// The state of the handlers.
#[derive(Clone)]
pub struct ServerState {
    /// The process' own metrics.
    pub metrics: PrometheusHandle,
    /// The health of the process.
    pub health: Health,
    /// The leadership of the process.
    pub leadership: Leadership,
    /// The live measurements.
    pub live: Arc<dyn LiveSource>,
}

/// The ports of the servers.
pub struct Listeners {
    /// For the kubelet.
    pub probes: TcpListener,
    /// For Prometheus.
    pub metrics: TcpListener,
    /// For the API server, if live measurements are served.
    pub live: Option<(TcpListener, Gate)>,
}

/// The running servers.
pub struct Serving(Vec<JoinHandle<io::Result<()>>>);

impl Serving {
    /// Starts the servers, which stop with the token.
    ///
    /// # Errors
    /// When the system has no thread for them.
    pub fn start(listeners: Listeners, shown: &ServerState, stop: &CancellationToken) -> io::Result<Self> {
        let Listeners { probes, metrics, live } = listeners;
        let server = |listener, connections, gate, router| Server { listener, connections, gate, router };
        let probes = server(probes, PROBE_CONNECTIONS, None, probe_routes(shown.clone()));
        let mut others = vec![server(metrics, METRICS_CONNECTIONS, None, metrics_routes(shown.clone()))];
        others.extend(live.map(|(listener, gate)| {
            server(listener, LIVE_CONNECTIONS, Some(gate), live_routes(shown.clone()))
        }));
        Ok(Self(vec![on_a_thread("probes", vec![probes], stop)?, on_a_thread("http", others, stop)?]))
    }

    /// Waits until the servers have stopped.
    ///
    /// # Errors
    /// When one of them failed.
    pub async fn ended(self) -> io::Result<()> {
        for server in self.0 {
            let ended = tokio::task::spawn_blocking(|| server.join()).await;
            ended?.unwrap_or_else(|_| Err(io::Error::other("it panicked")))?;
        }
        Ok(())
    }
}

fn on_a_thread(
    name: &str,
    servers: Vec<Server>,
    stop: &CancellationToken,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let stop = stop.clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(try_join_all(servers.into_iter().map(|server| server.run(stop.clone())))).map(drop)
    })
}

fn probe_routes(shown: ServerState) -> Router {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(shown)
}

fn metrics_routes(shown: ServerState) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(shown)
}

fn live_routes(shown: ServerState) -> Router {
    Router::new()
        .route(&format!("/apis/{LIVE_GROUP}/{LIVE_VERSION}"), get(resources))
        .route(&live_path("{namespace}", "{name}"), get(live))
        .fallback(async || failure(StatusCode::NOT_FOUND, "NotFound", "there is no such path"))
        .with_state(shown)
}

async fn livez(State(shown): State<ServerState>) -> Response {
    verdict(shown.health.is_live(), "the tick loop has been silent for too long")
}

async fn readyz(State(shown): State<ServerState>) -> Response {
    verdict(shown.health.is_ready(), "the watches have not had their first lists yet")
}

fn verdict(good: bool, otherwise: &'static str) -> Response {
    if good { "ok".into_response() } else { (StatusCode::SERVICE_UNAVAILABLE, otherwise).into_response() }
}

async fn metrics(State(shown): State<ServerState>) -> impl IntoResponse {
    shown.live.set_gauges();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shown.metrics.render())
}

/// The discovery document, which shows the API server that the API is available.
async fn resources() -> impl IntoResponse {
    Json(json!({
        "apiVersion": "v1",
        "kind": "APIResourceList",
        "groupVersion": format!("{LIVE_GROUP}/{LIVE_VERSION}"),
        "resources": [
            {"name": "scalableapps", "singularName": "", "namespaced": true, "kind": "LiveApp", "verbs": ["get"]},
        ],
    }))
}

/// An app as an object of the API.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: String,
    kind: &'static str,
    metadata: LiveMetadata,
    #[serde(flatten)]
    app: LiveApp,
}

#[derive(Serialize)]
struct LiveMetadata {
    namespace: String,
    name: String,
}

async fn live(State(shown): State<ServerState>, Path((namespace, name)): Path<(String, String)>) -> Response {
    if let Err(NotLeader::Standby(leader)) = shown.leadership.writable_for(Duration::ZERO) {
        let leader = leader.as_deref().unwrap_or("not known");
        let message = format!("this replica of the operator does not lead; the leader is {leader}");
        let mut response = failure(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", &message);
        // The API server's next connection may reach the leader.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    match shown.live.app(&namespace, &name).await {
        Some(app) => {
            let api_version = format!("{LIVE_GROUP}/{LIVE_VERSION}");
            Json(Object { api_version, kind: "LiveApp", metadata: LiveMetadata { namespace, name }, app })
                .into_response()
        }
        None => {
            let message = format!("ScalableApp {namespace}/{name} does not exist or was not measured yet");
            failure(StatusCode::NOT_FOUND, "NotFound", &message)
        }
    }
}

/// A refusal in the form that every client of Kubernetes understands.
fn failure(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": message,
    });
    (code, Json(status)).into_response()
}
