//! `/livez`, `/readyz`, `/healthz`: who may ask what. No I/O.
//!
//! None of them is counted in the request histogram: probes are not load.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app_state::AppState;
use crate::phase::Phase;
use crate::problem;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/healthz", get(healthz))
        .method_not_allowed_fallback(problem::method_not_allowed)
}

/// A dependency that is down does not make the pod unready: it is down for all pods alike, and taking all of
/// them out of the Service would turn a degraded mode into an outage.
///
/// Only before the first contact there is nothing to answer with: a pod is not ready until it has seen the schema.
async fn ready(State(app): State<AppState>) -> (StatusCode, &'static str) {
    match *app.phase.borrow() {
        Phase::Serving if app.shop.as_ref().is_some_and(|shop| !shop.database.is_migrated()) => {
            (StatusCode::SERVICE_UNAVAILABLE, "waiting for the database\n")
        }
        Phase::Serving => (StatusCode::OK, "ready\n"),
        Phase::LameDuck | Phase::Draining | Phase::Closing => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

/// One entry for each server of the database, as it was when last looked at (asking here would make a probe wait
/// for them), and one for each other dependency, with the state of its circuit breaker and what is done without it.
async fn healthz(State(app): State<AppState>) -> Json<Value> {
    let mut dependencies = app.shop.as_ref().map(|shop| shop.health()).unwrap_or_default();
    dependencies.extend(app.dependencies.standings().iter().map(|standing| json!(standing)));
    Json(json!({ "dependencies": dependencies }))
}
