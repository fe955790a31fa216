//! Destinations of log lines and spans. I/O: stdout, and the OTLP endpoint if there is one.

use std::env;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::args::LogFormat;

/// Name of the service in traces, unless `OTEL_SERVICE_NAME` gives another.
const SERVICE: &str = "scalableapp-operator";
/// Time for the last spans when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Why logs or traces cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is not a list of directives.
    #[error("failed to read RUST_LOG; write for example info,scalableapp_operator=debug")]
    Filter(#[from] ParseError),
    /// The exporter has no TLS: a collector runs in the same cluster, or forwards from there.
    #[error("failed to use OTEL_EXPORTER_OTLP_ENDPOINT; give a URL that begins with http://")]
    Endpoint,
    /// An `OTEL_*` variable cannot be used.
    #[error(
        "failed to set up the trace exporter; check the OTEL_ variables, and that the image has CA certificates"
    )]
    Exporter(#[from] ExporterBuildError),
    /// The process already has a subscriber.
    #[error("failed to install the log writer")]
    Install(#[from] TryInitError),
}

/// Logs and traces of the process.
#[derive(Debug)]
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Log lines to stdout, and spans to `OTEL_EXPORTER_OTLP_ENDPOINT` if it is set. Without it no exporter runs.
    ///
    /// # Errors
    /// When `RUST_LOG` or an `OTEL_*` variable cannot be used.
    pub fn start(format: LogFormat) -> Result<Self, TelemetryError> {
        let directives = env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.is_empty());
        let filter = EnvFilter::try_new(directives.as_deref().unwrap_or("info"))?;
        let lines = match format {
            LogFormat::Json => fmt::layer().json().flatten_event(true).with_span_list(false).boxed(),
            LogFormat::Text => fmt::layer().boxed(),
        };
        let spans = exporter()?;
        // Spans only: events are in the log already.
        let traces = spans.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer(SERVICE))
                .with_filter(LevelFilter::INFO)
        });
        tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces).try_init()?;
        Ok(Self { spans })
    }

    /// Sends the remaining spans.
    pub fn stop(self) {
        if let Some(Err(error)) = self.spans.map(|provider| provider.shutdown_with_timeout(FLUSH_TIMEOUT)) {
            tracing::warn!(%error, "failed to send the last spans");
        }
    }
}

/// The exporter reads endpoint, headers and time-out from the environment itself.
fn exporter() -> Result<Option<SdkTracerProvider>, TelemetryError> {
    match env::var("OTEL_EXPORTER_OTLP_ENDPOINT") {
        Ok(endpoint) if endpoint.starts_with("http://") => {}
        Ok(endpoint) if !endpoint.is_empty() => return Err(TelemetryError::Endpoint),
        _ => return Ok(None),
    }
    let mut resource = Resource::builder();
    if env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(SERVICE);
    }
    let exporter = SpanExporter::builder().with_http().build()?;
    let provider =
        SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter).build();
    Ok(Some(provider))
}
