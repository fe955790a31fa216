//! How many requests are answered at the same time; one more is refused at once. No I/O.
//!
//! Whatever makes requests slow, they must not pile up until memory ends: those that are refused can still go to
//! another pod, while those that wait hold a connection and a client.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;
use crate::resilience::Bulkhead;

/// The bulkhead of all requests but those for health and metrics.
pub(crate) fn limit(max_requests: usize) -> Bulkhead {
    Bulkhead::new("requests", max_requests, 0)
}

/// Answers the request if there is room.
pub(crate) async fn admit(State(bulkhead): State<Bulkhead>, request: Request, next: Next) -> Response {
    let Ok(_place) = bulkhead.enter().await else {
        let detail = "As many requests are being answered as may be; try again in a second.";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
    };
    next.run(request).await
}
