//! The payment provider hangs, and the circuit breakers of all pods open. Customers leave, so the request rate falls; no
//! replica goes, the app stays Ready, and a condition names the provider. When it answers again, all customers come back
//! at once, and every one of them is served.

use anyhow::{Result, ensure};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{LoadPod, REQUEST_WINDOW, World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const DEGRADED: &str = "DependencyDegraded";
/// All customers, in requests per second: four replicas.
const ALL: u32 = 34;
/// Those who still try while nobody can pay: two replicas. Each is a new connection, so every pod gets some.
const FEW: u32 = 14;
/// The scale-down stabilization window, for which replicas stay after the recovery, too. All customers come back within it.
const STABILIZATION: Duration = Duration::from_secs(30);
/// So long, the rate of all customers has left the averaging window, and what it recommended the stabilization window.
const OUTAGE: Duration = REQUEST_WINDOW.saturating_add(STABILIZATION).saturating_add(Duration::from_secs(10));

/// `web`, which calls the payment provider.
fn shop(world: &World) -> Result<Value> {
    let mut app = world.shop(1, 5, "10")?;
    app["spec"]["dependencies"] = json!([{"name": "payments", "circuit": {"source": "app"}}]);
    let web = &mut app["spec"]["services"][0];
    web["args"] = json!(["--modules", "payments"]);
    web["env"] = json!([{"name": "PAYMENTS_URL", "value": "http://payments"}]);
    web["calls"] = json!(["payments"]);
    web["scaling"]["behavior"] =
        json!({"scaleDown": {"stabilizationWindowSeconds": STABILIZATION.as_secs()}});
    Ok(app)
}

async fn pay<'a>(world: &'a World, name: &str, per_second: u32, seconds: u32) -> Result<LoadPod<'a>> {
    let url = format!("http://shop-web.{}.svc:8080/payments", world.namespace());
    let payment = json!({"amount": 1250, "currency": "EUR"});
    world.start_posts(name, &url, &payment, &format!("{seconds}s@{per_second}")).await
}

async fn at_least(world: &World, replicas: i32) -> Result<()> {
    let current = world.replicas().await?;
    ensure!(current >= replicas, "{current} replicas");
    Ok(())
}

#[tokio::test]
async fn dependency_brownout_holds() -> Result<()> {
    World::apart("dependency_brownout_holds", async |world| {
        world.start_payments().await?;
        let _operator = world.own_operator().await?;
        world.apply_app(&shop(world)?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let all = pay(world, "all", ALL, 300).await?;
        wait_until("the load is four replicas", Duration::from_secs(90), async || world.has_ready(4).await)
            .await?;
        wait_until("the breakers are known to be closed", Duration::from_secs(60), async || {
            world.says(DEGRADED, ConditionStatus::False, "DependenciesWell").await
        })
        .await?;
        brownout(world, all).await?;
        recovery(world).await
    })
    .await
}

async fn brownout(world: &World, all: LoadPod<'_>) -> Result<()> {
    let begun = Instant::now();
    world.payments_behave(&json!({"hang": true})).await?;
    let condition = wait_until("the open breakers are named", Duration::from_secs(60), async || {
        at_least(world, 4).await?;
        world.says(DEGRADED, ConditionStatus::True, DEGRADED).await
    })
    .await?;
    let named = begun.elapsed().as_secs_f64();
    println!("dependency_brownout_holds: {named:.1} s until the dependency was named: {}", condition.message);
    wait_until("every pod has an open breaker", Duration::from_secs(60), async || {
        let condition = world.says(DEGRADED, ConditionStatus::True, DEGRADED).await?;
        ensure!(condition.message.contains("4 of 4 pods"), "{}", condition.message);
        Ok(())
    })
    .await?;
    all.kill().await?;
    let few = pay(world, "few", FEW, 300).await?;
    wait_until("the hold is named", Duration::from_secs(60), async || {
        at_least(world, 4).await?;
        world.says("ScalingLimited", ConditionStatus::True, DEGRADED).await
    })
    .await?;
    let held = begun.elapsed().as_secs_f64();
    println!("dependency_brownout_holds: {held:.1} s until the hold was named");
    holds_for("no replica goes, and the app is Ready", OUTAGE, async || {
        at_least(world, 4).await?;
        world.says("Ready", ConditionStatus::True, "UpAsDeclared").await?;
        world.says(DEGRADED, ConditionStatus::True, DEGRADED).await.map(drop)
    })
    .await?;
    few.kill().await
}

async fn recovery(world: &World) -> Result<()> {
    let begun = Instant::now();
    world.payments_behave(&json!({})).await?;
    let few = pay(world, "probes", FEW, 300).await?;
    wait_until("the breakers are closed", Duration::from_secs(60), async || {
        at_least(world, 4).await?;
        world.says(DEGRADED, ConditionStatus::False, "DependenciesWell").await
    })
    .await?;
    let closed = begun.elapsed().as_secs_f64();
    println!("dependency_brownout_holds: {closed:.1} s from the first answer until all breakers were closed");
    let all = pay(world, "return", ALL, 20).await?;
    holds_for("the replicas are there for the return", Duration::from_secs(15), async || {
        at_least(world, 4).await
    })
    .await?;
    let report = all.finish().await?;
    println!("dependency_brownout_holds: the return: {report:?}");
    ensure!(report.failed.total() == 0, "{report:?}");
    few.kill().await?;
    let over = REQUEST_WINDOW * 2 + STABILIZATION * 2 + Duration::from_secs(30);
    wait_until("without customers replicas go", over, async || world.has_replicas(1).await).await
}
