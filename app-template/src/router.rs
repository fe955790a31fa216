//! Which layers surround which routes. No I/O.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use opentelemetry::global;
use tokio::sync::watch;

use crate::cpu_pool::CpuPool;
use crate::metrics::Requests;
use crate::payments::Payments;
use crate::phase::Phase;
use crate::resilience::{Bulkhead, Dependencies};
use crate::sessions::Sessions;
use crate::shop::Shop;
use crate::{health, metrics, problem, trace};

/// What the handlers share.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    /// None only for the benchmark that measures what admission, metrics and traces cost.
    pub(crate) admission: Option<Bulkhead>,
    pub(crate) cpu: CpuPool,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) dependencies: Dependencies,
    /// None if this process takes no payments.
    pub(crate) payments: Option<Arc<Payments>>,
    /// None without Redis.
    pub(crate) sessions: Option<Sessions>,
    /// None without a database.
    pub(crate) shop: Option<Shop>,
}

/// Everything on the service port; `modules` are the routers of the modules that are served.
pub(crate) fn service(modules: Router<AppState>, state: AppState) -> Router {
    let modules = modules.fallback(
        problem::not_found.layer(from_fn_with_state(Requests::of(metrics::NO_MODULE), metrics::measure)),
    );
    let modules = if state.admission.is_some() {
        let tracer = Arc::new(global::tracer("app-template"));
        modules.layer(from_fn_with_state(tracer, trace::follow))
    } else {
        modules
    };
    modules
        .merge(health::routes())
        .layer(from_fn_with_state(state.phase.clone(), send_away))
        .with_state(state)
}

/// Everything on the metrics port.
pub(crate) fn metrics(exposition: PrometheusHandle, dependencies: Dependencies) -> Router {
    Router::new()
        .route("/metrics", get(metrics::expose))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state((exposition, dependencies))
}

/// Once the process is leaving, each answer asks its client to come back on a new connection, which leads to
/// another pod.
async fn send_away(State(phase): State<watch::Receiver<Phase>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if *phase.borrow() > Phase::Serving {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
