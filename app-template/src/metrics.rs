//! What is measured of each request, and `/metrics`. No I/O but reading /proc at a scrape.
//!
//! Names and buckets follow the OpenTelemetry semantic conventions for HTTP servers, as Prometheus spells
//! them. Labels that say where a sample comes from (namespace, pod, component, revision) are the scraper's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use metrics::{Gauge, Histogram, Label, Unit};
use metrics::{describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

use crate::degraded::Degraded;
use crate::jobs;
use crate::resilience::Dependencies;
use crate::store_duration;

const REQUEST_DURATION: &str = "http_server_request_duration_seconds";
const ACTIVE_REQUESTS: &str = "http_server_active_requests";

/// The label `module` of a request that matches no route; Prometheus reads an empty label as an absent one.
pub(crate) const NO_MODULE: &str = "";

/// Upper bounds in seconds, as the OpenTelemetry conventions advise for `http.server.request.duration`.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// How often samples are folded into their buckets when nobody scrapes; without it they pile up in memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// The status of a request whose client went away before the answer, as nginx logs it.
///
/// Under overload those are the slowest requests. A histogram without them would look best when it is worst.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
#[error("failed to install the metrics recorder: {0}")]
pub struct MetricsError(#[from] BuildError);

/// Makes the process record; to be called once, before the first series is named.
///
/// # Errors
/// When a recorder is installed already.
pub(crate) fn install() -> Result<PrometheusHandle, MetricsError> {
    let exposition = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(REQUEST_DURATION.to_owned()), &BUCKETS)?
        .set_buckets_for_metric(Matcher::Prefix("db_".to_owned()), &store_duration::BUCKETS)?
        .set_buckets_for_metric(Matcher::Full("job_duration_seconds".to_owned()), &jobs::BUCKETS)?
        .install_recorder()?;
    describe_histogram!(REQUEST_DURATION, Unit::Seconds, "Time from a request's head to its answer's head.");
    describe_gauge!(ACTIVE_REQUESTS, "Requests that are being answered.");
    describe_gauge!("bulkhead_limit", "How many calls may run at the same time.");
    describe_gauge!("bulkhead_in_use", "How many calls are running.");
    describe_counter!("bulkhead_rejected_total", "Calls refused because the queue was full.");
    describe_gauge!("circuit_breaker_state", "1 for the state that a dependency's circuit breaker is in.");
    describe_counter!("circuit_breaker_calls_total", "Calls to a dependency, those not made included.");
    describe_counter!(
        "retry_attempts_total",
        "Repeated calls to a dependency, and those denied by the budget."
    );
    store_duration::describe();
    describe_counter!("cache_requests_total", "Values asked of a cache.");
    describe_gauge!("cache_invalidations_up", "1 while changes in other processes are heard of, else 0.");
    Collector::default().describe();
    active_requests("GET").set(0.0);

    let upkeep = exposition.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(exposition)
}

/// An exposition of nothing: what the process records goes nowhere.
pub(crate) fn detached() -> PrometheusHandle {
    PrometheusBuilder::new().build_recorder().handle()
}

/// What is measured of the requests of one module.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    module: &'static str,
    /// Naming a series costs more than adding a sample to it: those of the usual answers are named once.
    usual: Arc<Vec<Usual>>,
}

/// The series of a route while all is well.
#[derive(Debug, Clone)]
struct Usual {
    method: &'static str,
    route: &'static str,
    active: Gauge,
    success: u16,
    duration: Histogram,
}

impl Requests {
    /// `module` is the name of one, or [`NO_MODULE`].
    pub(crate) fn of(module: &'static str) -> Self {
        Self { module, usual: Arc::default() }
    }

    /// Shows the series of a successful `method route` at zero: a rate can only be computed from two samples, and
    /// the first request must not be lost to the first of them.
    pub(crate) fn expect(&mut self, method: &'static str, route: &'static str, success: StatusCode) {
        let success = success.as_u16();
        let duration = request_duration(self.module, method, route.to_owned(), success, None);
        let usual = Usual { method, route, active: active_requests(method), success, duration };
        Arc::make_mut(&mut self.usual).push(usual);
    }

    fn usual(&self, method: &str, route: Option<&MatchedPath>) -> Option<&Usual> {
        let route = route?.as_str();
        self.usual.iter().find(|usual| usual.method == method && usual.route == route)
    }
}

/// `GET /metrics`.
pub(crate) async fn expose(
    State((exposition, dependencies)): State<(PrometheusHandle, Dependencies)>,
) -> impl IntoResponse {
    Collector::default().collect();
    // A breaker turns with time, not only with calls.
    dependencies.standings();
    let exposition = without(&dependencies.removed(), exposition.render());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], exposition)
}

/// Without the series of these names: the recorder forgets none, and a shard that is gone has no breaker.
fn without(names: &[&str], exposition: String) -> String {
    if names.is_empty() {
        return exposition;
    }
    let names: Vec<String> = names.iter().map(|name| format!("{{name=\"{name}\"")).collect();
    let is_shown = |line: &&str| !names.iter().any(|name| line.contains(name));
    exposition.split_inclusive('\n').filter(is_shown).collect()
}

/// A request that is being answered; recorded when it is dropped, so that an abandoned one is recorded too.
pub(crate) struct Measurement {
    requests: Requests,
    method: &'static str,
    /// The pattern that matched, never the path: one series per route, not one per customer.
    route: Option<MatchedPath>,
    active: Gauge,
    begun: Instant,
    status: u16,
    degraded: Option<Degraded>,
}

impl Measurement {
    pub(crate) fn begin(requests: Requests, request: &Request) -> Self {
        let method = method_label(request.method());
        let route: Option<MatchedPath> = request.extensions().get().cloned();
        let usual = requests.usual(method, route.as_ref());
        let active = usual.map_or_else(|| active_requests(method), |usual| usual.active.clone());
        active.increment(1.0);
        let (begun, status) = (Instant::now(), CLIENT_CLOSED_REQUEST);
        Self { requests, method, route, active, begun, status, degraded: None }
    }

    pub(crate) fn end(mut self, response: &Response) {
        self.status = response.status().as_u16();
        self.degraded = Degraded::of(response);
    }
}

impl Drop for Measurement {
    fn drop(&mut self) {
        self.active.decrement(1.0);
        let took = self.begun.elapsed();
        let route = self.route.as_ref();
        match self.requests.usual(self.method, route) {
            Some(usual) if usual.success == self.status && self.degraded.is_none() => {
                usual.duration.record(took);
            }
            _ => {
                let route = route.map_or("", MatchedPath::as_str).to_owned();
                request_duration(self.requests.module, self.method, route, self.status, self.degraded)
                    .record(took);
            }
        }
    }
}

fn request_duration(
    module: &'static str,
    method: &'static str,
    route: String,
    status: u16,
    degraded: Option<Degraded>,
) -> Histogram {
    let mut labels = vec![
        Label::from_static_parts("http_request_method", method),
        Label::new("http_route", route),
        Label::new("http_response_status_code", status.to_string()),
        Label::from_static_parts("module", module),
    ];
    labels.extend(degraded.map(|mark| Label::from_static_parts("degraded", mark.word())));
    histogram!(REQUEST_DURATION, labels)
}

fn active_requests(method: &'static str) -> Gauge {
    gauge!(ACTIVE_REQUESTS, "http_request_method" => method, "url_scheme" => "http")
}

/// A method is text of the client's choice; whatever HTTP does not name shares one label value, `_OTHER`.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "CONNECT" => "CONNECT",
        "DELETE" => "DELETE",
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "POST" => "POST",
        "PUT" => "PUT",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn series_of_what_is_no_longer_called_are_not_shown() {
        let line = |name| format!("circuit_breaker_state{{name=\"{name}\",state=\"open\"}} 0\n");
        let shown = ["redis a:1", "redis a:11", "redis"].map(line).concat();
        assert_eq!(without(&["redis a:1"], shown), ["redis a:11", "redis"].map(line).concat());
    }

    proptest! {
        #[test]
        fn any_method_becomes_one_of_few_labels(text in "(GET|PUT|POST|get)?[!-~]{0,9}") {
            if let Ok(method) = Method::from_bytes(text.as_bytes()) {
                let label = method_label(&method);
                prop_assert!(label == text || label == "_OTHER");
                prop_assert!(label.len() <= "OPTIONS".len());
            }
        }
    }
}
