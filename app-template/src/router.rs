//! Which layers surround which routes. No I/O.

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::app_state::AppState;
use crate::guard;
use crate::metrics::Requests;
use crate::{health, metrics, problem};

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
