//! Nothing is wrong: a steady load, and a new revision in the middle of it. Nothing is said, no warning is an event but
//! that of the rollout, and no replica comes or goes.

use super::diagnosis::{account, accounts, nothing_is_said};
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use scalableapp_e2e::world::{DIAGNOSIS_WINDOW, World, holds_for, wait_until};
use serde_json::json;
use std::time::Duration;

const REPLICAS: i32 = 2;
/// Reasons of a diagnosis, and of what follows from one.
const DIAGNOSED: [&str; 3] = ["BottleneckElsewhere", "Unknown", "NotAScalingProblem"];

/// Reasons and messages of the app's warnings.
async fn warnings(world: &World) -> Result<Vec<String>> {
    let api: Api<Event> = Api::namespaced(world.client(), world.namespace());
    let of_app = ListParams::default().fields("involvedObject.kind=ScalableApp,type=Warning");
    let events = api.list(&of_app).await?.items;
    let words = |event: &Event| {
        let words = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}: {}", words(&event.reason), words(&event.message))
    };
    Ok(events.iter().map(words).collect())
}

/// No bottleneck, no limit by a diagnosis, and the replicas that are always wanted.
async fn nothing_is_done(world: &World) -> Result<()> {
    nothing_is_said(world).await?;
    let web = world.web().await?;
    ensure!(web.desired == REPLICAS, "{web:?}");
    ensure!(DIAGNOSED.iter().all(|reason| !web.limited_by.contains(reason)), "{web:?}");
    Ok(())
}

#[tokio::test]
async fn nothing_wrong_does_nothing() -> Result<()> {
    World::apart("nothing_wrong_does_nothing", async |world| {
        world.start_servers_with(&[], 100).await?;
        let _operator = world.own_operator().await?;
        // A test machine that stalls for a moment must not add a pod.
        let mut app = accounts(world, 12, "5s")?;
        world.apply_app(&app).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let path = account(world).await?;
        let load = world.load_web(&path, "1200s@20").await?;
        // Those of the start, when no pod was ready yet.
        let before = warnings(world).await?;
        holds_for("nothing is done", DIAGNOSIS_WINDOW * 5, async || nothing_is_done(world).await).await?;
        app["spec"]["services"][0]["env"] = json!([{"name": "RUST_LOG", "value": "warn"}]);
        world.apply_app(&app).await?;
        holds_for("nothing is done during a rollout and after it", DIAGNOSIS_WINDOW * 3, async || {
            nothing_is_done(world).await
        })
        .await?;
        world.is_up().await?;
        world.has_replicas(REPLICAS).await?;
        let is_of_rollout = |one: &String| one.starts_with("RollingOut: ");
        let mut warnings = warnings(world).await?;
        warnings.retain(|one| !before.contains(one) && !is_of_rollout(one));
        ensure!(warnings.is_empty(), "{warnings:#?}");
        load.kill().await
    })
    .await
}
