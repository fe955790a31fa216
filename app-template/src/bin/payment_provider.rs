//! A stand-in for a payment provider that slows down, fails, hangs and recovers on request. I/O: sockets and a file.
//!
//! | route | does |
//! |---|---|
//! | `POST /payments` | takes a payment once for each `Idempotency-Key` |
//! | `GET /methods` | says how one can pay |
//! | `GET /taken` | says how many payments were taken, and their sum: what was really paid |
//! | `PUT /behavior` | `{"delay_ms": 0, "fail_percent": 0, "fail_status": 500, "hang": false, "hang_for": "10.0.0.1", "answers_per_second": 0}`, each optional; `{}` recovers |
//!
//! A payment is taken before the answer is delayed, lost or turned into a failure, as with real providers:
//! whoever repeats it without its key pays twice. With `--ledger` it is known again after a restart.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

/// A stand-in for a payment provider, for the demo and for tests.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address to listen on; port 0 takes any free port.
    #[arg(long, env = "ADDRESS", default_value = "127.0.0.1:8082")]
    address: SocketAddr,

    /// A file that keeps what was taken; without it that is forgotten with the process.
    #[arg(long, env = "LEDGER")]
    ledger: Option<PathBuf>,
}

/// How payments and questions are answered.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Behavior {
    /// How long each answer is held back.
    delay_ms: u32,
    /// How many of a hundred answers are a failure, evenly spread.
    fail_percent: u8,
    /// The status of a failure.
    fail_status: u16,
    /// Whether no answer is given at all until the behavior changes.
    hang: bool,
    /// The one caller who gets no answer until the behavior changes.
    hang_for: Option<IpAddr>,
    /// How many calls are answered a second; 0 for as many as come.
    answers_per_second: u32,
}

/// How long a call waits for its turn at most.
const LONGEST_QUEUE: Duration = Duration::from_secs(2);

impl Default for Behavior {
    fn default() -> Self {
        Self {
            delay_ms: 0,
            fail_percent: 0,
            fail_status: 500,
            hang: false,
            hang_for: None,
            answers_per_second: 0,
        }
    }
}

impl Behavior {
    fn hangs_for(&self, caller: IpAddr) -> bool {
        self.hang || self.hang_for == Some(caller)
    }

    fn failure(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.fail_status)
            .ok()
            .filter(|status| status.is_client_error() || status.is_server_error())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payment {
    amount: u64,
    currency: String,
}

#[derive(Debug, Clone)]
struct Provider {
    behavior: watch::Sender<Behavior>,
    ledger: Arc<Mutex<Ledger>>,
    /// When the next turn is free.
    next_turn: Arc<Mutex<Instant>>,
}

#[derive(Debug, Default)]
struct Ledger {
    /// By idempotency key.
    payments: BTreeMap<String, Payment>,
    answers: u64,
    /// A line for each payment.
    file: Option<File>,
}

/// A line of the file: an idempotency key and what it paid.
type Line = (String, Payment);

impl Ledger {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).read(true).open(path)?;
        let lines = BufReader::new(&file).lines();
        let payments =
            lines.map(|line| Ok(serde_json::from_str::<Line>(&line?)?)).collect::<anyhow::Result<_>>()?;
        Ok(Self { payments, answers: 0, file: Some(file) })
    }

    /// What was paid with `key`: `payment`, unless it was something else before.
    fn take(&mut self, key: &str, payment: Payment) -> io::Result<Payment> {
        if let Some(taken) = self.payments.get(key) {
            return Ok(taken.clone());
        }
        if let Some(file) = &mut self.file {
            // In one write, which a kill does not cut in two.
            file.write_all(format!("{}\n", json!((key, &payment))).as_bytes())?;
        }
        self.payments.insert(key.to_owned(), payment.clone());
        Ok(payment)
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let _telemetry = app_template::Telemetry::start()?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the async runtime")?
        .block_on(serve(args))
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let ledger = args.ledger.as_deref().map(|path| {
        Ledger::open(path).with_context(|| format!("failed to read the ledger {}", path.display()))
    });
    let provider = Provider::new(ledger.transpose()?.unwrap_or_default());
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let listener = TcpListener::bind(args.address)
        .await
        .with_context(|| format!("failed to listen on {}, choose another with --address", args.address))?;
    tracing::info!(address = %listener.local_addr()?, "serving");
    let service = router(provider).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service);
    tokio::select! {
        ended = serving => ended.context("failed to go on serving"),
        // A stand-in owes nobody an answer: requests that hang would hold it back for ever.
        _ = terminate.recv() => Ok(()),
    }
}

fn router(provider: Provider) -> Router {
    Router::new()
        .route("/payments", post(pay))
        .route("/methods", get(async || Json(json!(["card", "transfer", "invoice"]))))
        .layer(from_fn_with_state(provider.clone(), misbehave))
        .route("/taken", get(taken))
        .route("/behavior", put(change))
        .with_state(provider)
}

impl Provider {
    fn new(ledger: Ledger) -> Self {
        let next_turn = Arc::new(Mutex::new(Instant::now()));
        let behavior = watch::Sender::new(Behavior::default());
        Self { behavior, ledger: Arc::new(Mutex::new(ledger)), next_turn }
    }

    /// The end of this call's turn, which is taken also if its caller goes away; `None` if the queue is too long.
    fn turn(&self) -> Option<Instant> {
        let rate = self.behavior.borrow().answers_per_second;
        let now = Instant::now();
        if rate == 0 {
            return Some(now);
        }
        let mut next_turn = self.next_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let end = now.max(*next_turn) + Duration::from_secs(1) / rate;
        if end > now + LONGEST_QUEUE {
            return None;
        }
        *next_turn = end;
        Some(end)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn pay(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Json(payment): Json<Payment>,
) -> Result<Response, (StatusCode, &'static str)> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let key = key.ok_or((StatusCode::BAD_REQUEST, "send an Idempotency-Key\n"))?;
    let taken = provider.ledger().take(key, payment.clone());
    let taken = taken.map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "the ledger cannot be written\n"))?;
    if taken != payment {
        return Err((StatusCode::UNPROCESSABLE_ENTITY, "this key belongs to another payment\n"));
    }
    let receipt = json!({ "id": format!("pay-{key}"), "amount": taken.amount, "currency": taken.currency });
    Ok((StatusCode::CREATED, Json(receipt)).into_response())
}

async fn taken(State(provider): State<Provider>) -> Json<Value> {
    let ledger = provider.ledger();
    // As much as the number holds: a payment may be of any amount.
    let amount = ledger.payments.values().map(|payment| payment.amount).fold(0, u64::saturating_add);
    Json(json!({ "count": ledger.payments.len(), "amount": amount }))
}

async fn change(
    State(provider): State<Provider>,
    Json(behavior): Json<Behavior>,
) -> Result<Json<Behavior>, (StatusCode, &'static str)> {
    if behavior.fail_percent > 100 {
        return Err((StatusCode::BAD_REQUEST, "give a fail_percent from 0 to 100\n"));
    }
    if behavior.failure().is_none() {
        return Err((StatusCode::BAD_REQUEST, "give a fail_status from 400 to 599\n"));
    }
    tracing::info!(?behavior, "behaving differently");
    provider.behavior.send_replace(behavior);
    Ok(Json(behavior))
}

async fn misbehave(
    State(provider): State<Provider>,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let turn = provider.turn();
    let response = next.run(request).await;
    let Some(turn) = turn else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many calls\n").into_response();
    };
    tokio::time::sleep_until(turn).await;
    let behavior = *provider.behavior.borrow();
    tokio::time::sleep(Duration::from_millis(behavior.delay_ms.into())).await;
    // Fails only if the sender is gone, and this function holds it.
    let _ = provider.behavior.subscribe().wait_for(|behavior| !behavior.hangs_for(caller.ip())).await;
    let number = {
        let mut ledger = provider.ledger();
        ledger.answers += 1;
        ledger.answers
    };
    let failures_before = |answers: u64| answers * u64::from(behavior.fail_percent) / 100;
    if failures_before(number) > failures_before(number - 1) {
        let status = behavior.failure().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return (status, "failing, as asked\n").into_response();
    }
    response
}
