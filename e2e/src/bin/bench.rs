//! `bench`: how fast the operator reacts, and its cost at rest. Prints figures and checks none.
//!
//! Both are measured with a real API server, with the operator as a process of this machine and a Prometheus with
//! preset answers, so the time at which a metric crosses its target is known.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use scalableapp_e2e::interrupt::until_ended;
use scalableapp_e2e::operator::LocalOperator;
use scalableapp_e2e::process::{cpu_seconds, resident_mib};
use scalableapp_e2e::prometheus_stub::PrometheusStub;
use scalableapp_e2e::world::{World, wait_until};
use serde_json::json;
use tokio::time::sleep;

/// Crossings of the target, upwards and downwards together.
const CROSSINGS: u64 = 20;
/// Steps in the load, upwards and downwards together, for each number of windows.
const STEPS: u64 = 10;
/// Interval of reads of the Deployment: the error of each figure.
const LOOK: Duration = Duration::from_millis(20);
/// Duration of the measurement at rest.
const REST: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    World::apart("bench", async |world| until_ended(measure(world)).await).await
}

async fn measure(world: &World) -> Result<()> {
    let prometheus = PrometheusStub::start()?;
    let shop = (world.namespace().to_owned(), "shop".to_owned());
    prometheus.set(&shop, 50.0);
    let directory = tempfile::tempdir()?;
    let operator = operator(world, &prometheus, directory.path(), &[])?;
    let mut app = world.shop(1, 2, "100")?;
    app["spec"]["services"][0]["scaling"]["behavior"] =
        json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
    world.apply_app(&app).await?;
    wait_until("the app is up", Duration::from_secs(60), async || world.is_up().await).await?;
    sleep(Duration::from_secs(15)).await;

    let mut reactions = Vec::new();
    for crossing in 0..CROSSINGS {
        // Until the period of HPA's default policies has passed, with a different phase of the tick each time.
        sleep(Duration::from_millis(16_000 + crossing * 730 % 5_000)).await;
        let (rate, wanted) = if crossing % 2 == 0 { (150.0, 2) } else { (50.0, 1) };
        prometheus.set(&shop, rate);
        reactions.push(until_written(world, wanted, &operator).await?);
    }
    println!(
        "reaction from a metric crossing its target to spec.replicas, {CROSSINGS} crossings, tick 5 s: {}",
        percentiles(reactions)
    );

    sleep(Duration::from_secs(20)).await;
    let before = cpu_seconds(operator.id())?;
    sleep(REST).await;
    let used = cpu_seconds(operator.id())? - before;
    println!(
        "at rest with one app for {} s: {:.2} % of a core, {:.1} MiB RSS",
        REST.as_secs(),
        used / REST.as_secs_f64() * 100.0,
        resident_mib(operator.id())?.0
    );
    println!("from a step in the load, 60/s to 180/s for pods of 100/s each, to spec.replicas:");
    println!("  windows of 60 s and 20 s: {}", steps(world, &prometheus, &operator).await?);
    drop(operator);
    let operator = self::operator(world, &prometheus, directory.path(), &["--short-request-window", "0s"])?;
    println!("  one window of 60 s: {}", steps(world, &prometheus, &operator).await?);
    Ok(())
}

fn operator(
    world: &World,
    prometheus: &PrometheusStub,
    directory: &Path,
    more: &[&str],
) -> Result<LocalOperator> {
    let kubeconfig =
        std::env::var_os("KUBECONFIG").context("set KUBECONFIG to the cluster's: 'cluster kubeconfig'")?;
    let arguments = [&["--namespaces", world.namespace()], more].concat();
    LocalOperator::start(
        "bench",
        kubeconfig.as_ref(),
        world.namespace(),
        &prometheus.url(),
        directory,
        &arguments,
    )
}

/// The time from each upward step in the load to the replicas for it.
async fn steps(world: &World, prometheus: &PrometheusStub, operator: &LocalOperator) -> Result<String> {
    let shop = (world.namespace().to_owned(), "shop".to_owned());
    prometheus.set(&shop, 60.0);
    until_written(world, 1, operator).await?;
    let mut reactions = Vec::new();
    for step in 0..STEPS {
        sleep(Duration::from_millis(16_000 + step * 730 % 5_000)).await;
        prometheus.step(&shop, 180.0);
        reactions.push(until_written(world, 2, operator).await?);
        prometheus.set(&shop, 60.0);
        until_written(world, 1, operator).await?;
    }
    Ok(percentiles(reactions))
}

/// The time until the replicas are written.
async fn until_written(world: &World, wanted: i32, operator: &LocalOperator) -> Result<Duration> {
    let begin = Instant::now();
    while world.replicas().await? != wanted {
        ensure!(begin.elapsed() < Duration::from_secs(120), "no reaction in 120 s: {}", operator.log());
        sleep(LOOK).await;
    }
    Ok(begin.elapsed())
}

fn percentiles(mut reactions: Vec<Duration>) -> String {
    reactions.sort();
    let at = |share: usize| reactions[(reactions.len() - 1) * share / 100].as_secs_f64();
    format!("p50 {:.2} s, p95 {:.2} s, max {:.2} s", at(50), at(95), at(100))
}
