//! `bench`: how fast the operator reacts, and what it costs at rest. Prints figures and judges none.
//!
//! Both are measured on a real API server, with the operator as a process of this machine and a Prometheus that answers
//! from a table, so that the moment at which a metric crosses its target is known.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use scalableapp_e2e::operator::{self, LocalOperator, OPERATOR};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// Crossings of the target, up and down together.
const CROSSINGS: u64 = 20;
/// Between two looks at the Deployment: the error of each figure.
const LOOK: Duration = Duration::from_millis(20);
/// How long the operator is watched at rest.
const REST: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Table {
    namespace: String,
    rate: Arc<AtomicU64>,
}

/// Answers the template queries: the request rate is that of the table, samples are new, and every pod reports.
async fn answer(State(table): State<Table>, body: String) -> Json<Value> {
    let query = form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "query");
    let query = query.map(|(_, query)| query.into_owned()).unwrap_or_default();
    let component = json!({"namespace": table.namespace, "scalableapp": "shop", "component": "web"});
    let value = match query.as_str() {
        query if query.starts_with("time()") => Some("1".to_owned()),
        query if query.starts_with("count") => Some("9".to_owned()),
        query if query.contains("_count{") => Some(table.rate.load(Ordering::Relaxed).to_string()),
        _ => None,
    };
    let result: Vec<Value> =
        value.iter().map(|value| json!({"metric": component, "value": [0, value]})).collect();
    Json(json!({"status": "success", "data": {"resultType": "vector", "result": result}}))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    World::run("bench", async |world| {
        operator::scale(&world.client(), OPERATOR, 0).await?;
        let outcome = measure(world).await;
        operator::scale(&world.client(), OPERATOR, 1).await?;
        outcome
    })
    .await
}

async fn measure(world: &World) -> Result<()> {
    let table = Table { namespace: world.namespace().to_owned(), rate: Arc::new(AtomicU64::new(5)) };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let prometheus = format!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/api/v1/query", post(answer)).with_state(table.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });

    let directory = tempfile::tempdir()?;
    let kubeconfig =
        std::env::var_os("KUBECONFIG").context("set KUBECONFIG to the cluster's: 'cluster kubeconfig'")?;
    let operator =
        LocalOperator::start("bench", kubeconfig.as_ref(), world.namespace(), &prometheus, directory.path())?;
    let mut app = world.shop(1, 2, "10")?;
    app["spec"]["services"][0]["scaling"]["behavior"] =
        json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
    world.apply_app(&app).await?;
    wait_until("the app is up", Duration::from_secs(60), async || world.is_up().await).await?;
    sleep(Duration::from_secs(15)).await;

    let mut reactions = Vec::new();
    for crossing in 0..CROSSINGS {
        // The period of HPA's default policies passes, and the phase of the tick is another one each time.
        sleep(Duration::from_millis(16_000 + crossing * 730 % 5_000)).await;
        let (rate, wanted) = if crossing % 2 == 0 { (15, 2) } else { (5, 1) };
        table.rate.store(rate, Ordering::Relaxed);
        let crossed = Instant::now();
        while world.replicas().await? != wanted {
            ensure!(crossed.elapsed() < Duration::from_secs(60), "no reaction in 60 s: {}", operator.log());
            sleep(LOOK).await;
        }
        reactions.push(crossed.elapsed());
    }
    reactions.sort();
    let at = |share: usize| reactions[(reactions.len() - 1) * share / 100].as_secs_f64();
    println!(
        "reaction from a metric crossing its target to spec.replicas, {CROSSINGS} crossings, tick 5 s: \
         p50 {:.2} s, p95 {:.2} s, max {:.2} s",
        at(50),
        at(95),
        at(100)
    );

    sleep(Duration::from_secs(20)).await;
    let before = cpu_ticks(operator.id())?;
    sleep(REST).await;
    let used = (cpu_ticks(operator.id())? - before) as f64 / 100.0;
    println!(
        "at rest with one app for {} s: {:.2} % of a core, {:.1} MiB RSS",
        REST.as_secs(),
        used / REST.as_secs_f64() * 100.0,
        rss_mib(operator.id())?
    );
    serving.abort();
    Ok(())
}

/// User and system time of a process, in ticks of 10 ms (proc(5), fields 14 and 15).
fn cpu_ticks(process: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the operator has ended")?;
    let after_name = stat.rsplit_once(')').context("no name in /proc/PID/stat")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks =
        |index: usize| -> Result<u64> { Ok(fields.get(index).context("a short /proc/PID/stat")?.parse()?) };
    Ok(ticks(11)? + ticks(12)?)
}

fn rss_mib(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the operator has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
