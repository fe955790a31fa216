//! Read replicas grow from one to three and shrink to one while the app reads: no request fails, and nobody is shown less
//! than they have written.

use super::readers::{own_writes, with_readers};
use super::stack::{STACK_UP, component_is_ready, stack};
use anyhow::{Result, ensure};
use scalableapp_e2e::world::{Server, World, wait_until};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Grows to three and shrinks to one; prints how long a new reader takes.
async fn scale(world: &World, app: &Value) -> Result<()> {
    let begun = Instant::now();
    world.apply_app(&with_readers(app, 3)).await?;
    component_is_ready(world, "main", 3).await?;
    println!("1 to 3 useful readers: {:.1} s", begun.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(15)).await;
    world.apply_app(&with_readers(app, 1)).await?;
    component_is_ready(world, "main", 1).await?;
    wait_until("the leaving readers are gone", Duration::from_secs(90), async || {
        let pods = world.pods_of("main").await?.len();
        ensure!(pods == 1, "{pods} pods");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn readers_scale_without_errors() -> Result<()> {
    World::run("readers_scale_without_errors", async |world| {
        world.start_servers(&[Server::Payments]).await?;
        let app = with_readers(&stack(world)?, 1);
        world.apply_app(&app).await?;
        wait_until("the stack is up", STACK_UP, async || world.is_up().await).await?;
        let order = world.stock_shop().await?;
        let url = format!("http://shop-web.{}.svc:8080/products", world.namespace());
        let load = world.start_load("load", &url, "90s@20").await?;

        let is_over = AtomicBool::new(false);
        let scaled = async {
            let scaled = scale(world, &app).await;
            is_over.store(true, Ordering::Relaxed);
            scaled
        };
        let (scaled, written) = tokio::join!(scaled, own_writes(world, &order["account"], &is_over));
        scaled?;
        let (writes, stale) = written?;
        let report = load.finish().await?;
        let from_replicas = world.sum_of("db_reads_routed_total{NAMESPACE,target=\"replica\"}").await?;
        println!("own writes: {writes}, stale own reads: {stale}, reads from replicas: {from_replicas}");
        println!("readers_scale_without_errors: {report:?}");
        ensure!(stale == 0 && report.failed.total() == 0, "{stale} stale own reads, {report:?}");
        ensure!(from_replicas > 0.0, "nothing was read from a replica");
        Ok(())
    })
    .await
}
