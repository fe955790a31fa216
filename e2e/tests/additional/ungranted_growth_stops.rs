//! A service or a cache whose pods a quota refuses asks for no more of them: the quota is named at once, what is there stays,
//! and more come as soon as pods are granted.

use anyhow::{Context, Result, ensure};
use scalableapp_crds::{ComponentStatus, ConditionStatus};
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

async fn status(world: &World, component: &str) -> Result<ComponentStatus> {
    let status = world.apps().get("shop").await?.status.context("there is no status yet")?;
    status.component(component).cloned().context("it is not in the status")
}

/// Waits until more pods of a component are wanted than granted, and the quota is named; returns the time between.
async fn is_named(world: &World, component: &str, granted: i32) -> Result<Duration> {
    wait_until("more is wanted than granted", Duration::from_secs(300), async || {
        let status = status(world, component).await?;
        ensure!(status.desired > granted, "{status:?}");
        Ok(())
    })
    .await?;
    let begun = Instant::now();
    wait_until("the quota is named", Duration::from_secs(60), async || {
        let status = status(world, component).await?;
        ensure!(status.limited_by.starts_with("PodsRefused"), "{status:?}");
        let condition = world.says("ScalingLimited", ConditionStatus::True, "PodsRefused").await?;
        ensure!(condition.message.starts_with(component), "{condition:?}");
        ensure!(condition.message.contains("exceeded quota: small"), "{condition:?}");
        Ok(())
    })
    .await?;
    let unnamed = begun.elapsed();
    wait_until("all that are granted are ready", TRIED_AGAIN, async || {
        let status = status(world, component).await?;
        ensure!(status.ready == granted, "{status:?}");
        Ok(())
    })
    .await?;
    Ok(unnamed)
}

async fn stays(world: &World, component: &str, desired: i32, ready: i32) -> Result<()> {
    holds_for("nothing rises or falls", Duration::from_secs(45), async || {
        let status = status(world, component).await?;
        ensure!(status.desired == desired && status.ready == ready, "{status:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn ungranted_growth_stops() -> Result<()> {
    World::run("ungranted_growth_stops", async |world| {
        quota(world, 3).await?;
        let mut app = world.shop(1, NEEDED, "1")?;
        let query = json!({"query": format!("vector({NEEDED})"), "perReplica": "1"});
        app["spec"]["services"][0]["scaling"]["metrics"] = json!([{"name": "carts", "prometheus": query}]);
        world.apply_app(&app).await?;

        let unnamed = is_named(world, "web", 3).await?;
        println!("more wanted than the quota grants to its name: {:.1} s", unnamed.as_secs_f64());
        ensure!(unnamed <= TWO_TICKS, "the quota was unnamed for {unnamed:?}");
        let stopped = world.web().await?.desired;
        ensure!(stopped <= 3 + STEP, "{stopped} replicas are desired, 3 are granted");
        stays(world, "web", stopped, 3).await?;

        quota(world, stopped + 1).await?;
        let begun = Instant::now();
        wait_until("what the quota grants now is used", TRIED_AGAIN, async || {
            let web = world.web().await?;
            ensure!(web.ready > 3, "{web:?}");
            Ok(())
        })
        .await?;
        println!("granted to more ready: {:.1} s", begun.elapsed().as_secs_f64());
        is_named(world, "web", stopped + 1).await?;
        ensure!(world.web().await?.desired <= 2 * (stopped + 1), "one step above what is granted");

        quota(world, 100).await?;
        wait_until("all are there", TRIED_AGAIN, async || world.has_ready(NEEDED).await).await
    })
    .await
}

/// Its shards are idle, and yet above the target of their CPU: it asks for as many as it may have, one in five minutes.
#[tokio::test]
async fn ungranted_shards_are_named() -> Result<()> {
    World::run("ungranted_shards_are_named", async |world| {
        // Two shards, and the only pod of the service.
        quota(world, 3).await?;
        let mut app = world.example("examples/cache.yaml")?;
        let redis = &mut app["spec"]["caches"][0]["redis"];
        redis["shards"] = json!({"min": 2, "max": NEEDED});
        redis["target"] = json!({"cpuUtilization": 1});
        world.apply_app(&app).await?;
        wait_until("the cache is known", Duration::from_secs(30), async || {
            status(world, "sessions").await.map(drop)
        })
        .await?;
        let none_is_refused = async || {
            let status = status(world, "sessions").await?;
            ensure!(!status.limited_by.contains("PodsRefused"), "{status:?}");
            Ok(())
        };
        holds_for("shards that are being created are not refused", Duration::from_secs(60), none_is_refused)
            .await?;

        let unnamed = is_named(world, "sessions", 2).await?;
        println!("more shards wanted than the quota grants to its name: {:.1} s", unnamed.as_secs_f64());
        ensure!(unnamed <= TWO_TICKS, "the quota was unnamed for {unnamed:?}");
        stays(world, "sessions", 3, 2).await?;

        quota(world, 100).await?;
        let begun = Instant::now();
        wait_until("what the quota grants now is used, and not named any more", TRIED_AGAIN, async || {
            let status = status(world, "sessions").await?;
            ensure!(status.ready > 2 && !status.limited_by.contains("PodsRefused"), "{status:?}");
            let condition = world.condition("ScalingLimited").await?;
            ensure!(condition.reason != "PodsRefused", "{condition:?}");
            Ok(())
        })
        .await?;
        println!("granted to more shards ready: {:.1} s", begun.elapsed().as_secs_f64());
        Ok(())
    })
    .await
}
