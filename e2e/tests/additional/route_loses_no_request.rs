//! A service behind a real gateway: before the gateway is there the app says what to install; then it is served through it,
//! a new version loses no request on the way, and an edit of the HTTPRoute is reverted.

use super::GATEWAY;
use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The operator looks for the definitions of Gateway API every half a minute.
const FOUND: Duration = Duration::from_secs(120);

#[tokio::test]
async fn route_loses_no_request() -> Result<()> {
    let _alone = GATEWAY.lock().await;
    World::run("route_loses_no_request", async |world| {
        let result = keeps(world).await;
        let removed = world.remove_gateway().await;
        result.and(removed)
    })
    .await
}

async fn keeps(world: &World) -> Result<()> {
    let mut app = world.shop(2, 2, "1000")?;
    let web = &mut app["spec"]["services"][0];
    web["route"] = world.route();
    world.apply_app(&app).await?;
    wait_until("what to install is said", FOUND, async || {
        let said = world.says("Ready", ConditionStatus::False, "GatewayAPIMissing").await?;
        ensure!(world.web().await?.ready == 2, "the pods do not wait for it");
        ensure!(said.message.contains("Gateway API is not installed"), "{said:?}");
        Ok(())
    })
    .await?;
    world.install_gateway().await?;
    let begun = Instant::now();
    wait_until("the app is up", FOUND, async || world.is_up().await).await?;
    println!("up {:.1} s after the gateway was there", begun.elapsed().as_secs_f64());

    let load = world.load_gateway("load", "/wait?ms=20", "90s@40").await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    app["spec"]["services"][0]["env"] = json!([{"name": "VERSION", "value": "2"}]);
    world.apply_app(&app).await?;
    wait_until("only the new revision has pods", Duration::from_secs(90), async || {
        world.is_up().await?;
        ensure!(world.deployments().await?.len() == 1, "the old Deployment is still there");
        Ok(())
    })
    .await?;
    let report = load.finish().await?;
    println!("route_loses_no_request: {} of {} requests failed", report.failed.total(), report.sent);
    ensure!(report.failed.total() == 0 && report.ok == report.sent, "{report:?}");
    is_reverted(world).await
}

/// Somebody sends the requests nowhere.
async fn is_reverted(world: &World) -> Result<()> {
    let routes = world.http_routes();
    let rules = routes.get("shop-web").await?.data["spec"]["rules"].clone();
    let patch = json!({"spec": {"rules": [{"backendRefs": [{"name": "nowhere", "port": 80}]}]}});
    routes.patch("shop-web", &PatchParams::default(), &Patch::Merge(patch)).await?;
    wait_until("the edit is reverted", Duration::from_secs(30), async || {
        let route = routes.get("shop-web").await?;
        let now: &Value = route.data.pointer("/spec/rules").context("it has no rules")?;
        ensure!(*now == rules, "{now}");
        Ok(())
    })
    .await
}
