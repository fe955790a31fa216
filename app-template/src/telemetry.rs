//! Where logs and spans go. I/O: stdout, and the OTLP endpoint if there is one.

use std::env;
use std::time::Duration;

use opentelemetry::global::{set_text_map_propagator, set_tracer_provider};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, ParseError, filter_fn};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use crate::http_client;
use crate::log_line::LogLine;

/// Where spans are sent; the first that is set counts.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The last spans must not hold a pod back for longer than this when the collector is gone.
const FLUSH: Duration = Duration::from_secs(2);

/// Why logs and traces cannot be written as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// `RUST_LOG` is not a filter.
    #[error("failed to read RUST_LOG, write for example info or app_template=debug: {0}")]
    Filter(#[from] ParseError),
    /// The exporter is built without TLS: a collector stands beside the app, in the same cluster.
    #[error("failed to use {0}, give a URL that begins with http://")]
    Scheme(&'static str),
    /// This variable or another `OTEL_*` is not usable. The exporter's own words would quote it.
    #[error(
        "failed to set up the trace exporter, check {0} and the other OTEL_ variables, and that the image has CA certificates"
    )]
    Exporter(&'static str),
    /// Something in the process logs already.
    #[error("failed to install the log writer: {0}")]
    Install(#[from] TryInitError),
}

/// Writes logs and sends traces for as long as the process lives.
#[derive(Debug)]
pub struct Telemetry {
    tracing: SdkTracerProvider,
}

impl Telemetry {
    /// JSON logs to stdout; spans to the collector if `OTEL_EXPORTER_OTLP_ENDPOINT`, or the same of traces, is set.
    ///
    /// Spans are made in any case, because their trace ids are in the logs.
    ///
    /// # Errors
    /// A `RUST_LOG` or an `OTEL_*` variable that cannot be used.
    pub fn start() -> Result<Self, TelemetryError> {
        let filter = match env::var(EnvFilter::DEFAULT_ENV) {
            Ok(directives) if !directives.is_empty() => EnvFilter::try_new(directives)?,
            _ => EnvFilter::new("info"),
        };
        let logs =
            fmt::layer().fmt_fields(JsonFields::new()).event_format(LogLine::default()).with_filter(filter);

        set_text_map_propagator(TraceContextPropagator::new());
        let endpoint = ENDPOINTS.iter().find_map(|name| {
            env::var(name).ok().filter(|endpoint| !endpoint.is_empty()).map(|endpoint| (*name, endpoint))
        });
        let tracing = provider(endpoint)?;
        set_tracer_provider(tracing.clone());
        // Only spans: as span events the log lines would be sent a second time.
        let spans = tracing_opentelemetry::layer()
            .with_tracer(tracing.tracer("app-template"))
            .with_filter(filter_fn(|metadata| metadata.is_span() && *metadata.level() <= Level::INFO));

        tracing_subscriber::registry().with(logs).with(spans).try_init()?;
        Ok(Self { tracing })
    }

    /// Sends the spans that are still buffered.
    pub fn flush(self) {
        if let Err(error) = self.tracing.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%error, "failed to send the last spans");
        }
    }
}

fn provider(endpoint: Option<(&'static str, String)>) -> Result<SdkTracerProvider, TelemetryError> {
    let name = env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "app-template".to_owned());
    let provider =
        SdkTracerProvider::builder().with_resource(Resource::builder().with_service_name(name).build());
    let Some((variable, endpoint)) = endpoint else {
        // Nobody receives spans from here: only their ids are needed, and what the caller decided.
        return Ok(provider.with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff))).build());
    };
    if !endpoint.starts_with("http://") {
        return Err(TelemetryError::Scheme(variable));
    }
    http_client::provide_tls();
    // The exporter reads the endpoint, its headers and its time-out from the environment itself.
    let exporter = SpanExporter::builder().with_http().build();
    let exporter = exporter.map_err(|_| TelemetryError::Exporter(variable))?;
    Ok(provider.with_batch_exporter(exporter).build())
}
