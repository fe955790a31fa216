//! Without Prometheus no replica goes, the app stays Ready, and a condition says what is wrong. With it back no replica
//! goes of a load that has stayed, though rates read low at first, and then scaling goes on.

use anyhow::{Context, Result, ensure};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::operator::{self, PROMETHEUS};
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// `web`, which is scaled on its own request rate without a window that would keep replicas, and `api`, which is scaled on
/// a query of that rate, of which the operator does not know how far it looks back: a window as long as that keeps them.
fn pair(world: &World) -> Result<Value> {
    let mut app = world.shop(1, 3, "10")?;
    let services = app["spec"]["services"].as_array_mut().context("no services")?;
    let mut api = services[0].clone();
    api["name"] = json!("api");
    let query = "sum(rate(http_server_request_duration_seconds_count{component=\"web\"}[1m]))";
    api["scaling"]["metrics"] =
        json!([{"name": "asked", "prometheus": {"query": query, "perReplica": "10"}}]);
    services.push(api);
    for (service, window) in services.iter_mut().zip([0, 60]) {
        service["scaling"]["behavior"] = json!({"scaleDown": {"stabilizationWindowSeconds": window}});
    }
    Ok(app)
}

async fn has(world: &World, replicas: i32) -> Result<()> {
    ensure!(world.replicas().await? == replicas, "{} replicas", world.replicas().await?);
    Ok(())
}

#[tokio::test]
async fn prometheus_outage_holds() -> Result<()> {
    World::run("prometheus_outage_holds", async |world| {
        world.apply_app(&pair(world)?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let load = world.load_web("/wait?ms=5", "390s@28").await?;
        wait_until("the load is three replicas of each", Duration::from_secs(90), async || {
            has(world, 6).await
        })
        .await?;
        let outcome = outage(world).await;
        operator::scale(&world.client(), PROMETHEUS, 1).await?;
        outcome?;
        holds_for("the return takes none", Duration::from_secs(90), async || has(world, 6).await).await?;
        load.finish().await?;
        wait_until("Prometheus is heard again", Duration::from_secs(120), async || {
            world.says("MetricsAvailable", ConditionStatus::True, "AllMetricsFresh").await
        })
        .await?;
        wait_until("the load that has ended is one replica of each", Duration::from_secs(180), async || {
            has(world, 2).await
        })
        .await
    })
    .await
}

/// Prometheus goes while there is load, for so long that nothing that was asked for before is within a window any more.
async fn outage(world: &World) -> Result<()> {
    operator::scale(&world.client(), PROMETHEUS, 0).await?;
    holds_for("all replicas stay and the app is Ready", Duration::from_secs(165), async || {
        has(world, 6).await?;
        world.says("Ready", ConditionStatus::True, "UpAsDeclared").await.map(drop)
    })
    .await?;
    let condition = world.condition("MetricsAvailable").await?;
    ensure!(condition.status == ConditionStatus::False, "{condition:?}");
    println!("prometheus_outage_holds: {}: {}", condition.reason, condition.message);
    Ok(())
}
