//! What surrounds every route but those for health and metrics: its span, its measurement, its whole body, a place
//! among the requests that are answered, and a net for panics. No I/O.
//!
//! One layer, because each costs a request several allocations.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION, HOST};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::global::{self, BoxedTracer};
use tokio::sync::watch;

use crate::answers::Answers;
use crate::body::Bodies;
use crate::connections::Connection;
use crate::metrics::{Measurement, Requests};
use crate::phase::Phase;
use crate::problem::{self, Problem};
use crate::resilience::Bulkhead;
use crate::trace;

/// The longest path with its parameters, in bytes.
const LONGEST_URI: usize = 8 * 1024;

/// The largest headers, in bytes of their names and values.
const LARGEST_HEADERS: usize = 16 * 1024;

/// What the routes of all modules share.
#[derive(Debug, Clone)]
pub(crate) struct Guards {
    /// One more request is refused at once. Whatever makes requests slow, they must not pile up until memory ends:
    /// those that are refused can still go to another pod, while those that wait hold a connection and a client.
    admission: Bulkhead,
    bodies: Bodies,
    answers: Answers,
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
    pub(crate) fn new(
        max_requests: usize,
        bodies: Bodies,
        phase: watch::Receiver<Phase>,
        unobserved: bool,
    ) -> Self {
        let tracer = (!unobserved).then(|| Arc::new(global::tracer("app-template")));
        let admission = Bulkhead::new("requests", max_requests, 0);
        Self { admission, bodies, answers: Answers::new(), phase, tracer }
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
    // What says nothing about it may be somebody's data: it is theirs alone, and kept nowhere.
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
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
    let request = match receive(guard, request).await {
        Ok(request) => request,
        // What is left of the body is not read.
        Err(problem) => return ([(CONNECTION, "close")], problem).into_response(),
    };
    let connection = request.extensions().get::<Arc<Connection>>().map(Arc::clone);
    let _answering = connection.as_ref().map(Connection::answer);
    let Ok(_place) = guard.shared.admission.enter().await else {
        let detail = "As many requests are being answered as may be; try again in a second.";
        return Problem::unavailable(detail).into_response();
    };
    // Nothing is left half done that outlives the request.
    let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = response.unwrap_or_else(problem::panicked);
    guard.shared.answers.count(response).unwrap_or_else(IntoResponse::into_response)
}

/// The request with its whole body. Only then it takes a place: those who send slowly keep nobody else out.
async fn receive(guard: &Guard, request: Request) -> Result<Request, Problem> {
    if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1 {
        return Err(Problem::bad_request("Send one header Host, as HTTP/1.1 asks for.".to_owned()));
    }
    if request.uri().path_and_query().is_some_and(|asked| asked.as_str().len() > LONGEST_URI) {
        let detail = format!("The path and its parameters are longer than {LONGEST_URI} bytes; send less.");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, detail));
    }
    if size(request.headers()) > LARGEST_HEADERS {
        let detail =
            format!("The headers are larger than {LARGEST_HEADERS} bytes; send fewer or shorter ones.");
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail));
    }
    guard.shared.bodies.read(request).await
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
