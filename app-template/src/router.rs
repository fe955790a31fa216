//! Which layers surround which routes. No I/O.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use crate::cpu_pool::CpuPool;
use crate::guard::{self, Guards};
use crate::metrics::Requests;
use crate::payments::Payments;
use crate::phase::Phase;
use crate::resilience::Dependencies;
use crate::sessions::Sessions;
use crate::shop::Shop;
use crate::{health, metrics, problem};

/// What the handlers share.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    pub(crate) guards: Guards,
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
    let unknown = state.guards.around(Requests::of(metrics::NO_MODULE));
    modules
        .fallback(problem::not_found.layer(from_fn_with_state(unknown, guard::answer)))
        .merge(health::routes())
        .with_state(state)
}

/// Everything on the metrics port.
///
/// Health too: probes that ask there are answered whatever the service port is busy with.
pub(crate) fn metrics(exposition: PrometheusHandle, state: AppState) -> Router {
    Router::new()
        .route("/metrics", get(metrics::expose))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state((exposition, state.dependencies.clone()))
        .merge(health::routes().with_state(state))
}
