//! Replicas that a quota keeps away above `minReplicas` are said, and so is an override that the app's own bounds clamp or
//! make meaningless.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use scalableapp_crds::{ConditionStatus, ScalingOverride};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

use super::arena::Arena;

const SOON: Duration = Duration::from_secs(60);

/// One replica at least, and four by a schedule that is on but for the first minute of the year.
fn shop() -> Value {
    let always = json!({"name": "always", "timeZone": "UTC", "from": "* * * * *", "to": "0 0 1 1 *", "minReplicas": 4});
    json!({
        "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "metadata": {"name": "shop"},
        "spec": {"image": "shop:1", "services": [{
            "name": "web", "port": 8080, "scaling": {"minReplicas": 1, "maxReplicas": 4, "schedules": [always]},
        }]},
    })
}

/// Applies bounds, and waits until the override says this of itself.
async fn says(world: &World, name: &str, bounds: &Value, reason: &str, words: &str) -> Result<()> {
    let spec = json!({"app": "shop", "component": "web", "by": "jane", "reason": "a test",
        "expiresAt": "2099-01-01T00:00:00Z", "replicas": bounds});
    let object = json!({"apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalingOverride",
        "metadata": {"name": name}, "spec": spec});
    world.apply(&object.to_string()).await?;
    wait_until(&format!("{name} says {reason}"), SOON, async || {
        let overrides: Api<ScalingOverride> = Api::namespaced(world.client(), world.namespace());
        let status = overrides.get(name).await?.status.context("no status yet")?;
        let condition = status.conditions.first().context("no condition yet")?;
        ensure!(condition.reason == reason && condition.message.contains(words), "{condition:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_limits_is_said() -> Result<()> {
    World::run("what_limits_is_said", async |world| {
        let arena = Arena::start(world.client(), &[]).await?;
        arena.leads().await?;
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
            "spec": {"hard": {"pods": "2"}}});
        world.apply(&quota.to_string()).await?;
        world.apply_app(&shop()).await?;
        let condition = wait_until("the quota is said", SOON, async || {
            world.says("Ready", ConditionStatus::True, "UpAsDeclared").await?;
            let limited = world.says("ScalingLimited", ConditionStatus::True, "PodsRefused").await?;
            ensure!(limited.message.starts_with("web: 2 of 4 replicas are ready"), "{limited:?}");
            Ok(limited)
        })
        .await?;
        ensure!(condition.message.contains("exceeded quota: small"), "{condition:?}");
        let events: Api<Event> = Api::namespaced(world.client(), world.namespace());
        wait_until("an event says so", SOON, async || {
            let events = events.list(&ListParams::default()).await?.items;
            let is_told = events.iter().any(|event| event.reason.as_deref() == Some("PodsRefused"));
            ensure!(is_told, "{} events, none of them this", events.len());
            Ok(())
        })
        .await?;

        says(world, "more", &json!({"exact": 50}), "Clamped", "web runs at most 4 by its maxReplicas")
            .await?;
        says(world, "nothing", &json!({"max": 9}), "WithoutEffect", "nothing changes for web").await?;
        says(world, "fewer", &json!({"max": 2}), "InForce", "acts upon web of shop until").await?;
        wait_until("who limits is said", SOON, async || {
            let limited = world.says("ScalingLimited", ConditionStatus::True, "Override").await?;
            ensure!(
                limited.message.contains("fewer is by jane until 2099-01-01T00:00:00Z: a test"),
                "{limited:?}"
            );
            Ok(())
        })
        .await?;
        arena.end().await
    })
    .await
}
