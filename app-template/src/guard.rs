//! What surrounds every route but those for health and metrics: its span, its measurement, a place among the requests
//! that are answered, and a net for panics. No I/O.
//!
//! One layer, because each costs a request several allocations.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::global::{self, BoxedTracer};
use tokio::sync::watch;

use crate::metrics::{Measurement, Requests};
use crate::phase::Phase;
use crate::problem::{self, Problem};
use crate::resilience::Bulkhead;
use crate::trace;

/// What the routes of all modules share.
#[derive(Debug, Clone)]
pub(crate) struct Guards {
    /// One more request is refused at once. Whatever makes requests slow, they must not pile up until memory ends:
    /// those that are refused can still go to another pod, while those that wait hold a connection and a client.
    admission: Bulkhead,
    phase: watch::Receiver<Phase>,
    /// None only for the benchmark that measures what metrics and traces cost.
    tracer: Option<Arc<BoxedTracer>>,
}

/// What surrounds the routes of one module.
#[derive(Debug)]
pub(crate) struct Guard {
    shared: Guards,
    requests: Requests,
}

impl Guards {
    /// Answers at most `max_requests` at the same time.
    pub(crate) fn new(max_requests: usize, phase: watch::Receiver<Phase>, unobserved: bool) -> Self {
        let tracer = (!unobserved).then(|| Arc::new(global::tracer("app-template")));
        Self { admission: Bulkhead::new("requests", max_requests, 0), phase, tracer }
    }

    /// The state of [`answer`] around routes that are measured as `requests`.
    pub(crate) fn around(&self, requests: Requests) -> Arc<Guard> {
        Arc::new(Guard { shared: self.clone(), requests })
    }
}

/// Answers the request inside its span, measured, if there is room.
pub(crate) async fn answer(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match &guard.shared.tracer {
        Some(tracer) => {
            let span = trace::begin(tracer, &request);
            observe(&guard, request, next).with_context(span).await
        }
        None => admit(&guard, request, next).await,
    };
    // Once the process is leaving, its clients are to come back on a new connection, which leads to another pod.
    if *guard.shared.phase.borrow() > Phase::Serving {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn observe(guard: &Guard, request: Request, next: Next) -> Response {
    let measurement = Measurement::begin(guard.requests.clone(), &request);
    let response = admit(guard, request, next).await;
    measurement.end(&response);
    trace::end(&response);
    response
}

async fn admit(guard: &Guard, request: Request, next: Next) -> Response {
    let Ok(_place) = guard.shared.admission.enter().await else {
        let detail = "As many requests are being answered as may be; try again in a second.";
        return Problem::unavailable(detail).into_response();
    };
    // Nothing is left half done that outlives the request.
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(problem::panicked)
}
