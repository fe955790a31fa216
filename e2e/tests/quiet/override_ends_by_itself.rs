//! A hold keeps the replicas against what the metrics ask for, a pause stops every write, and both end by themselves.

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// How long each act lasts.
const LASTS: SignedDuration = SignedDuration::from_secs(45);

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

/// The load that the metric shows next becomes replicas when the act has ended, and not before.
async fn holds_until_its_end(
    world: &World,
    name: &str,
    reason: &str,
    query: &str,
    replicas: (i32, i32),
) -> Result<()> {
    let end = act(world, name).await?;
    world.scale_on_query(query).await?;
    wait_until(&format!("{name} is said"), Duration::from_secs(30), async || {
        world.says("ScalingLimited", ConditionStatus::True, reason).await
    })
    .await?;
    let left = end.duration_since(Timestamp::now()) - SignedDuration::from_secs(3);
    let left = Duration::try_from(left).unwrap_or_default();
    holds_for(&format!("{} replicas stay", replicas.0), left, async || world.has_replicas(replicas.0).await)
        .await?;
    wait_until(&format!("{} replicas after the {name}", replicas.1), Duration::from_secs(60), async || {
        world.has_replicas(replicas.1).await
    })
    .await
}

#[tokio::test]
async fn override_ends_by_itself() -> Result<()> {
    World::run("override", async |world| {
        world.scale_on_query("vector(25)").await?;
        wait_until("25 carts at 10 each are three replicas", Duration::from_secs(120), async || {
            world.is_up().await?;
            world.has_replicas(3).await
        })
        .await?;
        holds_until_its_end(world, "hold", "Held", "vector(5)", (3, 1)).await?;
        holds_until_its_end(world, "pause", "Paused", "vector(15)", (1, 2)).await?;
        world.is_up().await
    })
    .await
}
