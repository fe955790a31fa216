//! A service whose pods a quota refuses asks for no more of them: it is named at once, keeps what it has, and grows again as
//! soon as pods are granted.

use anyhow::{Result, ensure};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::json;
use std::time::{Duration, Instant};

/// Replicas that the load needs.
const NEEDED: i32 = 16;
/// HPA adds four pods at a time, or as many as there are.
const STEP: i32 = 4;
/// The longest wait here until refused pods are tried again: Kubernetes waits twice as long each time, and the operator asks
/// for one more pod after 2 minutes, and after 4 more.
const TRIED_AGAIN: Duration = Duration::from_secs(300);
/// The tick is 5 seconds.
const TWO_TICKS: Duration = Duration::from_secs(10);

async fn quota(world: &World, pods: i32) -> Result<()> {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
        "spec": {"hard": {"pods": pods.to_string()}},
    });
    world.apply(&quota.to_string()).await.map(drop)
}

/// Waits until more pods are wanted than granted, and the quota is named; returns the time between.
async fn is_named(world: &World, granted: i32) -> Result<Duration> {
    wait_until("more is wanted than granted", Duration::from_secs(120), async || {
        let web = world.web().await?;
        ensure!(web.desired > granted, "{web:?}");
        Ok(())
    })
    .await?;
    let begun = Instant::now();
    wait_until("the quota is named", Duration::from_secs(60), async || {
        let web = world.web().await?;
        ensure!(web.limited_by.starts_with("PodsRefused"), "{web:?}");
        let condition = world.says("ScalingLimited", ConditionStatus::True, "PodsRefused").await?;
        ensure!(condition.message.contains("exceeded quota: small"), "{condition:?}");
        Ok(())
    })
    .await?;
    let unnamed = begun.elapsed();
    wait_until("all that are granted are ready", TRIED_AGAIN, async || {
        let web = world.web().await?;
        ensure!(web.ready == granted, "{web:?}");
        Ok(())
    })
    .await?;
    Ok(unnamed)
}

#[tokio::test]
async fn ungranted_growth_stops() -> Result<()> {
    World::run("ungranted_growth_stops", async |world| {
        quota(world, 3).await?;
        let mut app = world.shop(1, NEEDED, "1")?;
        let query = json!({"query": format!("vector({NEEDED})"), "perReplica": "1"});
        app["spec"]["services"][0]["scaling"]["metrics"] = json!([{"name": "carts", "prometheus": query}]);
        world.apply_app(&app).await?;

        let unnamed = is_named(world, 3).await?;
        println!("more wanted than the quota grants to its name: {:.1} s", unnamed.as_secs_f64());
        ensure!(unnamed <= TWO_TICKS, "the quota was unnamed for {unnamed:?}");
        let stopped = world.web().await?.desired;
        ensure!(stopped <= 3 + STEP, "{stopped} replicas are desired, 3 are granted");
        holds_for("nothing rises or falls", Duration::from_secs(45), async || {
            let web = world.web().await?;
            ensure!(web.desired == stopped && web.ready == 3, "{web:?}");
            Ok(())
        })
        .await?;

        quota(world, stopped + 1).await?;
        let begun = Instant::now();
        wait_until("what the quota grants now is used", TRIED_AGAIN, async || {
            let web = world.web().await?;
            ensure!(web.ready > 3, "{web:?}");
            Ok(())
        })
        .await?;
        println!("granted to more ready: {:.1} s", begun.elapsed().as_secs_f64());
        is_named(world, stopped + 1).await?;
        ensure!(world.web().await?.desired <= 2 * (stopped + 1), "one step above what is granted");

        quota(world, 100).await?;
        wait_until("all are there", TRIED_AGAIN, async || world.has_ready(NEEDED).await).await
    })
    .await
}
