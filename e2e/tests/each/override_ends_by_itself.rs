//! A hold keeps the replicas against what the metrics ask for, a pause stops every write, and both end by themselves.
//! Each says whether it acts, and one with a wrong name says what to correct.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use kube::api::Api;
use scalableapp_crds::{ConditionStatus, ScalingOverride};
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// How long each act lasts.
const LASTS: SignedDuration = SignedDuration::from_secs(45);

/// Applies an act that lasts for [`LASTS`], and returns its end.
async fn act(world: &World, act: &str) -> Result<Timestamp> {
    let end = Timestamp::now() + LASTS;
    apply(world, &format!("shop-{act}"), act, &json!({"app": "shop", "expiresAt": end})).await?;
    Ok(end)
}

async fn apply(world: &World, name: &str, act: &str, spec: &Value) -> Result<()> {
    let mut object = json!({
        "apiVersion": "scalableapp.dev/v1alpha1",
        "kind": "ScalingOverride",
        "metadata": {"name": name},
        "spec": {"by": "jane", "reason": "a test", act: {}},
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    world.apply(&object.to_string()).await.map(drop)
}

/// The override says this of itself, within a few ticks.
async fn says(world: &World, name: &str, reason: &str, words: &str) -> Result<()> {
    wait_until(&format!("{name} says {reason}"), Duration::from_secs(30), async || {
        let overrides: Api<ScalingOverride> = Api::namespaced(world.client(), world.namespace());
        let status = overrides.get(name).await?.status.context("no status yet")?;
        let condition = status.conditions.first().context("no condition yet")?;
        ensure!(condition.reason == reason && condition.message.contains(words), "{condition:?}");
        Ok(())
    })
    .await
}

/// A manifest with a wrong name is accepted; it says so, and acts once there is what it names.
async fn wrong_names_are_said(world: &World) -> Result<()> {
    let end = Timestamp::now() + SignedDuration::from_hours(1);
    apply(world, "lost", "hold", &json!({"app": "shopp", "expiresAt": end})).await?;
    apply(world, "part", "hold", &json!({"app": "shop", "component": "wbe", "expiresAt": end})).await?;
    says(world, "lost", "AppNotFound", "has no ScalableApp shopp: correct spec.app").await?;
    says(world, "part", "ComponentNotFound", "its components are web: correct spec.component").await
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
    let of_shop = format!("shop-{name}");
    says(world, &of_shop, "InForce", "acts upon shop until").await?;
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
    .await?;
    says(world, &of_shop, "Expired", "ended at").await
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
        wrong_names_are_said(world).await?;
        holds_until_its_end(world, "hold", "Held", "vector(5)", (3, 1)).await?;
        holds_until_its_end(world, "pause", "Paused", "vector(15)", (1, 2)).await?;
        world.is_up().await
    })
    .await
}
