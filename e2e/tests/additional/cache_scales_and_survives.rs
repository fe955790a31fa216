//! A cache grows from two to four shards, loses one, and shrinks to one while the app reads: no request fails, and most
//! reads still find their value.

use super::stack::{STACK_UP, component_is_ready, stack};
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use scalableapp_e2e::world::{Server, World, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// Share of look-ups that may miss while two thirds of the keys move, one shard is lost, and no value is cached for long.
const MOST_MISSES: f64 = 0.5;

fn with_shards(app: &Value, shards: i32) -> Value {
    let mut app = app.clone();
    app["spec"]["caches"][0]["redis"]["shards"] = json!({"min": shards, "max": shards});
    app
}

async fn scale(world: &World, app: &Value) -> Result<()> {
    world.apply_app(&with_shards(app, 4)).await?;
    component_is_ready(world, "sessions", 4).await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete("shop-sessions-1", &at_once).await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    component_is_ready(world, "sessions", 4).await?;
    world.apply_app(&with_shards(app, 1)).await?;
    component_is_ready(world, "sessions", 1).await
}

#[tokio::test]
async fn cache_scales_and_survives() -> Result<()> {
    World::run("cache_scales_and_survives", async |world| {
        world.start_servers(&[Server::Payments]).await?;
        let app = with_shards(&stack(world)?, 2);
        world.apply_app(&app).await?;
        wait_until("the stack is up", STACK_UP, async || world.is_up().await).await?;
        let order = world.stock_shop().await?;
        let product = &order["items"][0]["product"];
        let url = format!("http://shop-web.{}.svc:8080/products/{product}", world.namespace());
        let load = world.start_load("load", &url, "240s@30").await?;
        scale(world, &app).await?;
        let report = load.finish().await?;
        let hits = world.sum_of("cache_requests_total{NAMESPACE,result=\"hit\"}").await?;
        let misses = world.sum_of("cache_requests_total{NAMESPACE,result=~\"miss|error\"}").await?;
        println!("cache_scales_and_survives: {hits} hits, {misses} misses and errors, {report:?}");
        ensure!(report.failed.total() == 0, "{report:?}");
        ensure!(hits > 0.0 && misses / (hits + misses) <= MOST_MISSES, "{hits} hits, {misses} misses");
        Ok(())
    })
    .await
}
