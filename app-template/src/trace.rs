//! One span per request, continued from the caller's (W3C trace context). No I/O.
//!
//! Made with OpenTelemetry itself: a span of the crate `tracing` keeps its fields as text for log lines that are mostly
//! not written, which costs more than all else that is observed of a small request.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;
use opentelemetry::global::{BoxedTracer, get_text_map_propagator};
use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, get_active_span};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;

/// The request that is being answered, for the log lines that are written meanwhile.
#[derive(Debug)]
pub(crate) struct Answering {
    pub(crate) method: Method,
    pub(crate) route: Option<MatchedPath>,
}

impl Answering {
    pub(crate) fn route(&self) -> &str {
        self.route.as_ref().map_or("", MatchedPath::as_str)
    }
}

/// The context of the request, with its span.
pub(crate) fn begin(tracer: &BoxedTracer, request: &Request) -> Context {
    let caller =
        get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor(request.headers())));
    let request = Answering { method: request.method().clone(), route: request.extensions().get().cloned() };
    let builder = tracer.span_builder("request").with_kind(SpanKind::Server);
    let mut span = tracer.build_with_context(builder, &caller);
    // Most are not: either nobody collects spans, or this one was not chosen.
    if span.is_recording() {
        let (method, route) = (request.method.to_string(), request.route().to_owned());
        span.update_name(format!("{method} {route}").trim_end().to_owned());
        span.set_attribute(KeyValue::new("http.request.method", method));
        span.set_attribute(KeyValue::new("http.route", route));
    }
    caller.with_span(span).with_value(request)
}

/// Notes the outcome on the span of the current context.
pub(crate) fn end(response: &Response) {
    let status = response.status();
    get_active_span(|span| {
        if !span.is_recording() {
            return;
        }
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
    });
    tracing::debug!(status = status.as_u16(), "answered");
}
