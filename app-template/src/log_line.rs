//! One line of the log: an event as JSON, with the trace and the request that it belongs to. No I/O of its own.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::trace::Answering;

/// The library's JSON, and before it what is known from the context in which the event happened.
#[derive(Debug)]
pub(crate) struct LogLine(Format<Json>);

impl Default for LogLine {
    fn default() -> Self {
        Self(Format::default().json().flatten_event(true).with_span_list(false))
    }
}

impl<S, N> FormatEvent<S, N> for LogLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let context = Context::current();
        let span = context.span().span_context().clone();
        if !span.is_valid() {
            return self.0.format_event(ctx, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(ctx, Writer::new(&mut line), event)?;
        let members = line.strip_prefix('{').ok_or(fmt::Error)?;
        write!(writer, r#"{{"trace_id":"{}","span_id":"{}","#, span.trace_id(), span.span_id())?;
        if let Some(request) = context.get::<Answering>() {
            // Neither a method nor a route of ours has anything to escape.
            let (method, route) = (&request.method, request.route());
            write!(writer, r#""http.request.method":"{method}","http.route":"{route}","#)?;
        }
        writer.write_str(members)
    }
}
