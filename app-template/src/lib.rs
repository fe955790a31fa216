//! The reference service: how an app should be built to scale. This file wires the process together.
//!
//! | file | what it owns |
//! |---|---|
//! | `args` | what can be set from outside, and its limits |
//! | `router` | which layers surround which routes |
//! | `module` | one module of the app: its name, its routes and their series |
//! | `modules/` | the modules themselves |
//! | `health` | `/livez`, `/readyz`, `/healthz` |
//! | `metrics` | what is measured of each request, and `/metrics` |
//! | `trace` | one span per request, continued from the caller's |
//! | `telemetry` | where logs and spans go |
//! | `resilience/` | for each dependency its bulkhead, time-outs, retries and circuit breaker |
//! | `degraded` | the mark on fallback and shed answers |
//! | `payments` | the client of the payment provider |
//! | `cache/` | values kept in the process and in Redis, and how they become outdated |
//! | `shared_store` | the Redis that all pods share |
//! | `http_cache` | what clients and proxies may keep, and asking again only for what has changed |
//! | `sessions` | sessions in Redis, so that any pod answers any request |
//! | `admission` | how many requests are answered at the same time |
//! | `cpu_pool` | computing without stalling the reactor, and saying no in time |
//! | `phase` | how far the process is on its way out |
//! | `server` | listening, and leaving without losing a request |
//! | `problem` | every refusal, as a problem document |

mod admission;
mod args;
mod cache;
mod cpu_pool;
mod degraded;
mod health;
mod http_cache;
mod metrics;
mod module;
mod modules;
mod payments;
mod phase;
mod problem;
mod resilience;
mod router;
mod server;
mod sessions;
mod shared_store;
mod telemetry;
mod trace;

/// The integration tests have it too.
#[cfg(test)]
#[path = "../tests/service/redis_server.rs"]
mod redis_server;

use std::net::SocketAddr;
use std::sync::Arc;

pub use args::Args;
pub use telemetry::{Telemetry, TelemetryError};

use cache::Caches;
use cpu_pool::CpuPool;
use payments::Payments;
use resilience::Dependencies;
use server::ServerError;
use sessions::Sessions;
use shared_store::SharedStore;

/// Why the process could not start, or could not leave cleanly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The handlers of SIGTERM and SIGINT could not be installed.
    #[error("failed to listen for SIGTERM and SIGINT: {0}")]
    Signals(#[source] std::io::Error),
    /// The metrics recorder could not be installed.
    #[error(transparent)]
    Metrics(#[from] metrics::MetricsError),
    /// The client of the payment provider could not be made.
    #[error("failed to make the client of the payment provider: {0}")]
    Payments(#[from] reqwest::Error),
    /// The client of Redis could not be made.
    #[error("failed to make the client of Redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// A port could not be opened, or requests were still open when the drain time ran out.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// A port that cannot be opened, and requests that outlived `--drain`.
pub async fn run(args: Args) -> Result<(), RunError> {
    // Before anything slow: a SIGTERM that finds no handler is lost, since a container's first process
    // ignores it.
    let phase = phase::advance_on_signal(args.lame_duck, args.drain).map_err(RunError::Signals)?;

    let exposition = metrics::install()?;
    let mut dependencies = Dependencies::default();
    let redis = match &args.redis_url {
        Some(url) => Some(SharedStore::new(url, args.redis_timeout, &mut dependencies)?),
        None => None,
    };
    let sessions = redis.clone().map(Sessions::new);
    let caches = Caches::new(redis);
    let payments = match args.payments_url.clone() {
        Some(url) => Some(Payments::new(url, &mut dependencies, &caches)?),
        None => None,
    };
    let state = router::AppState {
        admission: admission::limit(args.max_requests),
        cpu: CpuPool::new(args.cpu_workers(), args.cpu_queue),
        phase: phase.clone(),
        dependencies: dependencies.clone(),
        payments: payments.map(Arc::new),
        sessions,
    };
    let app = router::service(state);

    let service = server::listen(SocketAddr::new(args.address, args.port), "--port").await?;
    let scrape = server::listen(SocketAddr::new(args.address, args.metrics_port), "--metrics-port").await?;
    tracing::info!(
        service = %service.address,
        metrics = %scrape.address,
        cpu_workers = args.cpu_workers(),
        cpu_queue = args.cpu_queue,
        "serving"
    );

    // Metrics are served to the very end, so that the last scrape sees the drain.
    let metrics = tokio::spawn(server::serve_to_the_end(scrape, router::metrics(exposition, dependencies)));
    let outcome = server::serve(service, app, phase, args.drain).await;
    metrics.abort();
    tracing::info!(clean = outcome.is_ok(), "stopped");
    Ok(outcome?)
}
