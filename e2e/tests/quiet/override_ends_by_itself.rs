//! A hold keeps the replicas against what the metrics ask for, a pause stops every write, and both end by themselves.

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// How long each act lasts.
const LASTS: SignedDuration = SignedDuration::from_secs(45);

async fn scale_on(world: &World, query: &str) -> Result<()> {
    let mut app = world.shop(1, 3, "10")?;
    app["spec"]["services"][0]["scaling"]["metrics"] =
        json!([{"name": "carts", "prometheus": {"query": query, "perReplica": "10"}}]);
    app["spec"]["services"][0]["scaling"]["behavior"] =
        json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
    world.apply_app(&app).await
}

/// Applies an act that lasts for [`LASTS`], and returns its end.
async fn act(world: &World, act: &str) -> Result<Timestamp> {
    let end = Timestamp::now() + LASTS;
    let mut object: Value = json!({
        "apiVersion": "scalableapp.dev/v1alpha1",
        "kind": "ScalingOverride",
        "metadata": {"name": format!("shop-{act}")},
        "spec": {"app": "shop", "expiresAt": end, "by": "jane", "reason": "a test"},
    });
    object["spec"][act] = json!({});
    world.apply(&object.to_string()).await?;
    Ok(end)
}

async fn has_replicas(world: &World, wanted: i32) -> Result<()> {
    let replicas = world.replicas().await?;
    ensure!(replicas == wanted, "{replicas} replicas");
    Ok(())
}

/// The load that the metric shows next becomes replicas when the act has ended, and not before.
async fn holds_until_its_end(
    world: &World,
    name: &str,
    reason: &str,
    query: &str,
    replicas: (i32, i32),
) -> Result<()> {
    let end = act(world, name).await?;
    scale_on(world, query).await?;
    wait_until(&format!("{name} is said"), Duration::from_secs(30), async || {
        world.says("ScalingLimited", ConditionStatus::True, reason).await
    })
    .await?;
    let left = end.duration_since(Timestamp::now()) - SignedDuration::from_secs(3);
    let left = Duration::try_from(left).unwrap_or_default();
    holds_for(&format!("{} replicas stay", replicas.0), left, async || has_replicas(world, replicas.0).await)
        .await?;
    wait_until(&format!("{} replicas after the {name}", replicas.1), Duration::from_secs(60), async || {
        has_replicas(world, replicas.1).await
    })
    .await
}

#[tokio::test]
async fn override_ends_by_itself() -> Result<()> {
    World::run("override", async |world| {
        scale_on(world, "vector(25)").await?;
        wait_until("25 carts at 10 each are three replicas", Duration::from_secs(120), async || {
            world.is_up().await?;
            has_replicas(world, 3).await
        })
        .await?;
        holds_until_its_end(world, "hold", "Held", "vector(5)", (3, 1)).await?;
        holds_until_its_end(world, "pause", "Paused", "vector(15)", (1, 2)).await?;
        world.is_up().await
    })
    .await
}
