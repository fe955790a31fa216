//! One span per request, continued from the caller's (W3C trace context). No I/O.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::global::get_text_map_propagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_http::HeaderExtractor;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Answers the request inside its span; every log line written meanwhile carries the span's `trace_id`.
pub(crate) async fn follow(request: Request, next: Next) -> Response {
    let span = server_span(&request);
    let answered = span.clone();
    async move {
        let response = next.run(request).await;
        answered.record("http.response.status_code", i64::from(response.status().as_u16()));
        if response.status().is_server_error() {
            answered.record("otel.status_code", "ERROR");
        }
        tracing::debug!("answered");
        response
    }
    .instrument(span)
    .await
}

fn server_span(request: &Request) -> Span {
    let method = request.method().as_str();
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let span = info_span!(
        "request",
        otel.name = format!("{method} {route}").trim_end(),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        trace_id = Empty,
    );
    let caller =
        get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor(request.headers())));
    // Refused only while no one listens to spans, and then nobody misses the parent.
    let _ = span.set_parent(caller);
    span.record("trace_id", span.context().span().span_context().trace_id().to_string());
    span
}
