//! The reference service: how an app should be built to scale. This file wires the process together.
//!
//! A file imports only files above it in this table:
//!
//! | file | what it owns |
//! |---|---|
//! | `parse` | values of arguments, read within their limits |
//! | `secret` | a value that may hold a credential, which nothing shows |
//! | `endpoint` | a host and a port |
//! | `settings` | what may change while the process runs |
//! | `signing` | signatures with a shared key |
//! | `position` | a place in the write-ahead log, and what a read has to show of it |
//! | `store_duration` | the time of each call to PostgreSQL or Redis |
//! | `phase` | how far the process is on its way out |
//! | `degraded` | the mark on fallback and shed answers |
//! | `problem` | every refusal, as a problem document |
//! | `counted` | bytes that count against a budget |
//! | `answers` | bytes of answers that clients have not taken yet |
//! | `body` | the body of a request, in bounded time and memory |
//! | `connections` | how many connections are open, and which makes room |
//! | `slow_taking` | how long a client may take to take an answer |
//! | `refused_head` | refusals of heads that the HTTP library cannot read |
//! | `input` | what a request brings, checked |
//! | `http_cache` | what clients and proxies may keep, and asking again only for what has changed |
//! | `http_client` | the HTTP client of what is called over plain HTTP |
//! | `trace` | one span per request, continued from the caller's |
//! | `log_line` | a line of the log, which names its trace and its request |
//! | `telemetry` | where logs and spans go |
//! | `resilience/` | for each dependency its bulkhead, time-outs, retries and circuit breaker |
//! | `cpu_pool` | computing without stalling the reactor, and saying no in time |
//! | `rendezvous` | which shard has a key |
//! | `shard` | one server of the shared Redis |
//! | `shared_store` | the Redis that all pods share: one server, or shards that come and go |
//! | `cache/` | values kept in the process and in Redis, and how they become outdated |
//! | `sessions` | sessions in Redis, so that any pod answers any request |
//! | `payments` | the client of the payment provider |
//! | `database/` | one connection for a request, the schema, reads from replicas |
//! | `schema` | the steps of the schema |
//! | `consistency` | carrying the place of a write to the client and back, signed |
//! | `jobs/` | work that outlives its request |
//! | `metrics` | what is measured of each request, and `/metrics` |
//! | `guard` | what surrounds every route: its span, its measurement, its place among the requests that are answered |
//! | `module` | one module of the app: its name, its routes and their series |
//! | `refusals` | how the errors of what the service uses become refusals |
//! | `shop` | what the modules of the shop share |
//! | `app_state` | what the handlers of all routes share |
//! | `modules/` | the modules themselves |
//! | `args` | what can be set from outside, and its limits |
//! | `health` | `/livez`, `/readyz`, `/healthz` |
//! | `router` | which layers surround which routes |
//! | `server` | listening, and leaving without losing a request |

mod answers;
mod app_state;
mod args;
mod body;
mod cache;
mod connections;
mod consistency;
mod counted;
mod cpu_pool;
mod database;
mod degraded;
mod endpoint;
mod guard;
mod health;
mod http_cache;
mod http_client;
mod input;
mod jobs;
mod log_line;
mod metrics;
mod module;
mod modules;
mod parse;
mod payments;
mod phase;
mod position;
mod problem;
mod refusals;
mod refused_head;
mod rendezvous;
mod resilience;
mod router;
mod schema;
mod secret;
mod server;
mod sessions;
mod settings;
mod shard;
mod shared_store;
mod shop;
mod signing;
mod slow_taking;
mod store_duration;
mod telemetry;
mod trace;

use std::net::SocketAddr;
use std::sync::Arc;

pub use args::{Args, Command};
pub use database::{DatabaseArgs, OpenError};
pub use jobs::{Receiver, WorkerArgs};
pub use modules::MediaError;
pub use secret::Secret;
pub use telemetry::{Telemetry, TelemetryError};

use axum::Router;
use futures::FutureExt;
use futures::future::ready;
use tokio::sync::watch;

use app_state::AppState;
use body::Bodies;
use cache::Caches;
use connections::Connections;
use cpu_pool::CpuPool;
use guard::Guards;
use jobs::Webhooks;
use modules::{Media, OwnStates, Products};
use payments::Payments;
use phase::Phase;
use resilience::Dependencies;
use server::{Patience, ServerError};
use sessions::Sessions;
use settings::Settings;
use shard::Login;
use shared_store::{Access, ENDPOINTS, SharedStore};
use shop::{Shared, Shop};

/// Connections of the metrics port: scrapers and probes.
const METRICS_CONNECTIONS: usize = 64;

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
    /// An HTTP client, of the payment provider or of webhooks, could not be made.
    #[error("failed to make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// The client of Redis could not be made.
    #[error("failed to make the client of Redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// There are two caches.
    #[error("failed to choose a Redis: set either REDIS_URL or CACHE_SESSIONS_ENDPOINTS")]
    TwoCaches,
    /// A port could not be opened, or requests were still open when the drain time ran out.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A module was asked for by name, and what it cannot do without is not there.
    #[error("failed to serve the module {module}: it needs {what}, set {variable}")]
    ModuleNeeds {
        /// The module's name.
        module: String,
        /// What it needs.
        what: &'static str,
        /// The environment variable that says where that is.
        variable: &'static str,
    },
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
    /// A value that may hold a credential is none that can be used. Not left to the argument parser, which would show it.
    #[error("failed to read {variable}: {reason}")]
    Value {
        /// The environment variable that holds it.
        variable: &'static str,
        /// What to change.
        reason: String,
    },
    /// The database's settings cannot be used.
    #[error(transparent)]
    Database(#[from] OpenError),
}

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// A port that cannot be opened, and requests that outlived `--drain`.
pub async fn run(args: Args) -> Result<(), RunError> {
    // Before anything slow: a SIGTERM that finds no handler is lost, since a container's first process
    // ignores it.
    let phase = phase::advance_on_signal(args.lame_duck, args.drain).map_err(RunError::Signals)?;

    let exposition = if args.unobserved { metrics::detached() } else { metrics::install()? };
    let (state, own) = open(&args, phase.clone()).await?;
    let shop = state.shop.clone();
    let scraping = router::metrics(exposition, state.clone());
    let modules = match args.command {
        Some(Command::Worker(_)) => Router::new(),
        None => modules::routers(&args.modules, &state, own.as_ref()),
    };
    let app = router::service(modules, state);

    let service = match args.port() {
        Some(port) => Some(server::listen(SocketAddr::new(args.address, port), "--port").await?),
        None => None,
    };
    let scrape = server::listen(SocketAddr::new(args.address, args.metrics_port), "--metrics-port").await?;
    tracing::info!(
        service = service.as_ref().map(|service| tracing::field::display(service.address)),
        metrics = %scrape.address,
        cpu_workers = args.cpu_workers(),
        cpu_queue = args.cpu_queue,
        "serving"
    );

    // Metrics are served to the very end, so that the last scrape sees the drain.
    let patience = Patience { head: args.idle_timeout, write: args.body_timeout };
    let metrics = Connections::new("metrics", METRICS_CONNECTIONS);
    let metrics = tokio::spawn(server::serve_to_the_end(scrape, scraping, (metrics, patience)));
    let connections =
        (Connections::new("service", server::affordable_connections(args.connections())), patience);
    let serving = match service {
        Some(service) => server::serve(service, app, connections, phase.clone(), args.drain).left_future(),
        None => ready(Ok(())).right_future(),
    };
    let working = match (args.command, shop) {
        (Some(Command::Worker(worker)), Some(shop)) => {
            jobs::work(shop, modules::works(), worker, phase, args.drain).left_future()
        }
        _ => ready(()).right_future(),
    };
    let (outcome, ()) = tokio::join!(serving, working);
    metrics.abort();
    tracing::info!(clean = outcome.is_ok(), "stopped");
    Ok(outcome?)
}

/// Opens what the handlers share, and what single modules have for themselves.
async fn open(args: &Args, phase: watch::Receiver<Phase>) -> Result<(AppState, Option<OwnStates>), RunError> {
    let dependencies = Dependencies::default();
    let redis = open_redis(args, &dependencies).await?;
    check_modules(args, redis.is_some())?;
    let sessions = redis.clone().map(Sessions::new);
    let caches = Caches::new(redis);
    let policy = match args.command {
        Some(_) => payments::FOR_JOBS,
        None if args.payments_careless => payments::CARELESS,
        None => payments::FOR_REQUESTS,
    };
    let payments = match value("PAYMENTS_URL", args.payments_url.as_ref(), http_client::plain_http)? {
        Some(url) => Some(Arc::new(Payments::new(url, policy, &dependencies, &caches)?)),
        None => None,
    };
    let (shop, own) = open_shop(args, payments.clone(), &caches, &dependencies)?.unzip();
    let state = AppState {
        guards: Guards::new(
            args.max_requests,
            Bodies::new(args.body_timeout),
            phase.clone(),
            args.unobserved,
        ),
        cpu: CpuPool::new(args.cpu_workers(), args.cpu_queue),
        phase,
        dependencies,
        payments,
        sessions,
        shop,
    };
    Ok((state, own))
}

/// Opens the Redis that all pods share, if there is one, and follows the list of its shards.
async fn open_redis(args: &Args, dependencies: &Dependencies) -> Result<Option<SharedStore>, RunError> {
    let url = value("REDIS_URL", args.redis_url.as_ref(), shard::plain_redis)?;
    let settings = Settings::new(args.settings.clone());
    let read = |text: &String| {
        shared_store::endpoints(text).map_err(|reason| RunError::Value { variable: ENDPOINTS, reason })
    };
    let configured = args.cache_sessions_endpoints.as_ref().map(read).transpose()?;
    let listed = settings.read(ENDPOINTS).await.filter(|text| !text.is_empty());
    let first = listed.as_ref().map(read).transpose()?.or_else(|| configured.clone());
    match (url, first) {
        (Some(_), Some(_)) => Err(RunError::TwoCaches),
        (Some(url), None) => Ok(Some(SharedStore::one(&url, args.redis_timeout, dependencies)?)),
        (None, Some(first)) => {
            let mut access = Access {
                login: Login { password: args.cache_sessions_password.clone(), authorities: None },
                authorities: args.cache_sessions_ca.clone(),
                timeout: args.redis_timeout,
                dependencies: dependencies.clone(),
            };
            http_client::provide_tls();
            access.follow(&settings).await;
            let (store, list) = SharedStore::sharded(&first, access)?;
            tokio::spawn(list.follow(settings, configured));
            Ok(Some(store))
        }
        (None, None) => Ok(None),
    }
}

/// What `read` makes of a value that may hold a credential; the reason for a refusal does not quote it.
fn value<T>(
    variable: &'static str,
    secret: Option<&Secret>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, RunError> {
    let read = secret.map(|secret| read(secret.reveal())).transpose();
    read.map_err(|reason| RunError::Value { variable, reason })
}

/// Refuses a module that was asked for by name and lacks what it needs.
fn check_modules(args: &Args, has_redis: bool) -> Result<(), RunError> {
    type Needs = fn(&str) -> bool;
    let needs: [(Needs, bool, _, _); 4] = [
        (modules::needs_database, args.database.url.is_some(), "a database", "DATABASE_MAIN_URL"),
        (|name| name == modules::MEDIA, args.media_url.is_some(), "an object store", "MEDIA_URL"),
        (|name| name == modules::PAYMENTS, args.payments_url.is_some(), "a payment provider", "PAYMENTS_URL"),
        (|name| name == modules::VISITS, has_redis, "Redis", "REDIS_URL"),
    ];
    for (needs, is_there, what, variable) in needs {
        if let Some(module) = args.modules.iter().find(|module| !is_there && needs(module)) {
            return Err(RunError::ModuleNeeds { module: module.clone(), what, variable });
        }
    }
    Ok(())
}

/// Opens what the modules of the shop have, if there is a database.
fn open_shop(
    args: &Args,
    payments: Option<Arc<Payments>>,
    caches: &Caches,
    dependencies: &Dependencies,
) -> Result<Option<(Shop, OwnStates)>, RunError> {
    let Some(url) = &args.database.url else {
        return if args.command.is_some() { Err(RunError::WorkerNeedsDatabase) } else { Ok(None) };
    };
    if args.database.read_url.is_some() && args.signing_key.is_none() {
        return Err(RunError::ReplicasNeedKey);
    }
    let settings = Settings::new(args.settings.clone());
    let is_signed = args.signing_key.is_some();
    let database = database::open(&args.database, url.reveal(), settings, &schema::STEPS, is_signed)?;
    let webhooks = match value("WEBHOOK_KEY", args.webhook_key.as_ref(), str::parse)? {
        Some(key) => Some(Webhooks::new(key, &args.webhook_hosts)?),
        None => None,
    };
    let webhooks = match &args.command {
        Some(Command::Worker(worker)) => {
            webhooks.map(|webhooks| webhooks.sending(worker.concurrency, dependencies))
        }
        None => webhooks,
    };
    let media = args.media_url.as_ref().map(|url| Media::open(url.reveal(), dependencies)).transpose()?;
    jobs::describe();
    tokio::spawn(jobs::watch_backlog(database.clone()));
    tokio::spawn(jobs::forget_what_is_over(database.clone()));
    let keys = value("SIGNING_KEY", args.signing_key.as_ref(), str::parse)?;
    let own = OwnStates { products: Products::new(caches), media };
    Ok(Some((Shop::from(Shared { database, keys, webhooks, payments }), own)))
}
