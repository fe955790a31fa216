//! Without Prometheus no replica goes, the app stays Ready, and a condition says what is wrong; with it back, scaling
//! goes on.

use anyhow::{Result, ensure};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::operator::{self, PROMETHEUS};
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn prometheus_outage_holds() -> Result<()> {
    World::run("prometheus_outage_holds", async |world| {
        let mut app = world.shop(1, 3, "10")?;
        // Without this window a missing metric that counted as zero would take replicas within seconds.
        let quick = json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
        app["spec"]["services"][0]["scaling"]["behavior"] = quick;
        world.apply_app(&app).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let load = world.load_web("/wait?ms=5", "75s@28").await?;
        wait_until("the load is three replicas", Duration::from_secs(90), async || {
            ensure!(world.replicas().await? == 3, "{} replicas", world.replicas().await?);
            Ok(())
        })
        .await?;
        let outcome = outage(world).await;
        operator::scale(&world.client(), PROMETHEUS, 1).await?;
        outcome?;
        load.finish().await?;
        wait_until("Prometheus is heard again", Duration::from_secs(120), async || {
            world.says("MetricsAvailable", ConditionStatus::True, "AllMetricsFresh").await
        })
        .await?;
        wait_until("the load that has ended is one replica", Duration::from_secs(180), async || {
            ensure!(world.replicas().await? == 1, "{} replicas", world.replicas().await?);
            Ok(())
        })
        .await
    })
    .await
}

/// Prometheus goes while there is load, and the load ends while it is gone.
async fn outage(world: &World) -> Result<()> {
    operator::scale(&world.client(), PROMETHEUS, 0).await?;
    holds_for("three replicas stay and the app is Ready", Duration::from_secs(150), async || {
        ensure!(world.replicas().await? == 3, "{} replicas", world.replicas().await?);
        world.says("Ready", ConditionStatus::True, "UpAsDeclared").await.map(drop)
    })
    .await?;
    let condition = world.condition("MetricsAvailable").await?;
    ensure!(condition.status == ConditionStatus::False, "{condition:?}");
    println!("prometheus_outage_holds: {}: {}", condition.reason, condition.message);
    Ok(())
}
