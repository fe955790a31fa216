//! The HTTP server of the process: its metrics, its health and the live measurements. I/O: one TCP port.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | the process' own metrics, for Prometheus |
//! | `/livez` | 200 while the tick loop turns, else 503 |
//! | `/readyz` | 200 once every watch has its first list; leader and standby alike |
//! | `/v1/apps/{namespace}/{name}` | the app's [live measurements](super::live::LiveApp); 404 if there is no such app; 503 on a standby, which names the leader's pod |

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::net::TcpListener;

use super::health::Health;
use super::lease::{Leadership, NotLeader};
use super::live::LiveSource;

/// What the server shows.
#[derive(Clone)]
pub struct Shown {
    /// The process' own metrics.
    pub metrics: PrometheusHandle,
    /// Whether the process works.
    pub health: Health,
    /// Whether the process leads.
    pub leadership: Leadership,
    /// The live measurements.
    pub live: Arc<dyn LiveSource>,
}

#[derive(Serialize)]
struct Refusal {
    error: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
}

/// Listens on the port at every address, over IPv6 and IPv4 where the machine has both.
///
/// # Errors
/// When the port is taken or may not be used.
pub async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
    }
}

/// Serves until `shutdown` ends.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    shown: Shown,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(shown)).with_graceful_shutdown(shutdown).await
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/v1/apps/{namespace}/{name}", get(app))
        .with_state(shown)
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    shown.live.set_gauges();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shown.metrics.render())
}

async fn livez(State(shown): State<Shown>) -> Response {
    verdict(shown.health.is_live(), "the tick loop has been silent for too long")
}

async fn readyz(State(shown): State<Shown>) -> Response {
    verdict(shown.health.is_ready(), "the watches have not had their first lists yet")
}

fn verdict(good: bool, otherwise: &'static str) -> Response {
    if good { "ok".into_response() } else { (StatusCode::SERVICE_UNAVAILABLE, otherwise).into_response() }
}

async fn app(State(shown): State<Shown>, Path((namespace, name)): Path<(String, String)>) -> Response {
    if let Err(NotLeader::Standby(leader)) = shown.leadership.writable_for(Duration::ZERO) {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "not the leader", leader);
    }
    match shown.live.app(&namespace, &name).await {
        Some(app) => Json(app).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "no such app", None),
    }
}

fn refusal(status: StatusCode, error: &'static str, leader: Option<String>) -> Response {
    (status, Json(Refusal { error, leader })).into_response()
}
