//! The reference service: how an app should be built to scale. This file wires the process together.
//!
//! | file | what it owns |
//! |---|---|
//! | `args` | what can be set from outside, and its limits |
//! | `router` | which layers surround which routes |
//! | `module` | one module of the app: its name, its routes and their series |
//! | `modules/` | the modules themselves |
//! | `shop` | what the modules of the shop share |
//! | `input` | what a request brings, checked |
//! | `database/` | one connection for a request, the schema, reads from replicas |
//! | `jobs/` | work that outlives its request |
//! | `settings` | what may change while the process runs |
//! | `signing` | signatures with a shared key |
//! | `health` | `/livez`, `/readyz`, `/healthz` |
//! | `metrics` | what is measured of each request, and `/metrics` |
//! | `trace` | one span per request, continued from the caller's |
//! | `telemetry` | where logs and spans go |
//! | `cpu_pool` | computing without stalling the reactor, and saying no in time |
//! | `phase` | how far the process is on its way out |
//! | `server` | listening, and leaving without losing a request |
//! | `problem` | every refusal, as a problem document |

mod args;
mod cpu_pool;
mod database;
mod health;
mod input;
mod jobs;
mod metrics;
mod module;
mod modules;
mod phase;
mod problem;
mod router;
mod server;
mod settings;
mod shop;
mod signing;
mod telemetry;
mod trace;

use std::net::SocketAddr;

pub use args::{Args, Command};
pub use database::{DatabaseArgs, OpenError};
pub use jobs::WorkerArgs;
pub use modules::MediaError;
pub use telemetry::{Telemetry, TelemetryError};

use axum::Router;
use futures::FutureExt;
use futures::future::ready;

use cpu_pool::CpuPool;
use database::Database;
use modules::{Media, Payments};
use server::ServerError;
use settings::Settings;
use shop::Shop;

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
    /// A port could not be opened, or requests were still open when the drain time ran out.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A module that keeps its data in the database was asked for, and there is none.
    #[error("failed to serve the module {0}: it needs a database, set DATABASE_MAIN_URL")]
    ModuleNeedsDatabase(String),
    /// The module that keeps pictures was asked for, and there is no place for them.
    #[error("failed to serve the module media: it needs an object store, set MEDIA_URL")]
    MediaNeedsStore,
    /// The object store cannot be used.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// A worker takes its jobs from the database, and there is none.
    #[error("failed to start the worker: it needs a database, set DATABASE_MAIN_URL")]
    WorkerNeedsDatabase,
    /// There are replicas, and nothing to sign with what clients have written.
    #[error(
        "failed to read from replicas: set SIGNING_KEY to a random text of at least 32 characters, the same for every pod"
    )]
    ReplicasNeedKey,
    /// A key is too short to be one. Not left to the argument parser, which would show it.
    #[error("failed to read {variable}: {reason}")]
    Key {
        /// The environment variable that holds it.
        variable: &'static str,
        /// What to change.
        reason: String,
    },
    /// The database's settings cannot be used.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The client of the payment provider cannot be made.
    #[error("failed to set up the client of the payment provider: {0}")]
    Payments(#[source] Box<dyn std::error::Error + Send + Sync>),
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
    let shop = open_shop(&args)?;
    let state = router::AppState {
        cpu: CpuPool::new(args.cpu_workers(), args.cpu_queue),
        phase: phase.clone(),
        shop: shop.clone(),
    };
    let modules = match args.command {
        Some(Command::Worker(_)) => Router::new(),
        None => modules::routers(&args.modules, &state, shop.as_ref()),
    };
    let app = router::service(modules, state);

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
    let metrics = tokio::spawn(server::serve_to_the_end(scrape, router::metrics(exposition)));
    let working = match (args.command, shop) {
        (Some(Command::Worker(worker)), Some(shop)) => {
            jobs::work(shop, modules::works(), worker, phase.clone(), args.drain).left_future()
        }
        _ => ready(()).right_future(),
    };
    let (outcome, ()) = tokio::join!(server::serve(service, app, phase, args.drain), working);
    metrics.abort();
    tracing::info!(clean = outcome.is_ok(), "stopped");
    Ok(outcome?)
}

/// Opens what the modules share, if there is a database; otherwise refuses whatever asks for one.
fn open_shop(args: &Args) -> Result<Option<Shop>, RunError> {
    let Some(url) = &args.database.url else {
        if let Some(module) = modules::needs_database(&args.modules) {
            return Err(RunError::ModuleNeedsDatabase(module.to_owned()));
        }
        return if args.command.is_some() { Err(RunError::WorkerNeedsDatabase) } else { Ok(None) };
    };
    if args.database.read_url.is_some() && args.signing_key.is_none() {
        return Err(RunError::ReplicasNeedKey);
    }
    if args.media_url.is_none() && args.modules.iter().any(|module| module == modules::MEDIA) {
        return Err(RunError::MediaNeedsStore);
    }
    let key = |variable, text: &Option<String>| {
        let key = text.as_deref().map(str::parse).transpose();
        key.map_err(|reason| RunError::Key { variable, reason })
    };
    let payments = args.payments_url.as_deref().map(Payments::new).transpose();
    let database = Database::open(&args.database, url, Settings::new(args.settings.clone()))?;
    jobs::describe();
    tokio::spawn(jobs::watch_backlog(database.clone()));
    Ok(Some(Shop {
        database,
        key: key("SIGNING_KEY", &args.signing_key)?,
        webhook_key: key("WEBHOOK_KEY", &args.webhook_key)?,
        media: args.media_url.as_deref().map(Media::open).transpose()?,
        webhook_hosts: args.webhook_hosts.clone(),
        payments: payments.map_err(|error| RunError::Payments(error.into()))?,
    }))
}
