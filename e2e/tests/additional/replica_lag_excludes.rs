//! A read replica that falls behind leaves the read Service within seconds, and returns when it has caught up. Nobody is
//! shown less than they have written. On an idle primary no replica leaves.

use super::readers::{on_reader, own_writes, service_has, turns, with_readers, without_cache};
use super::stack::{STACK_UP, component_is_ready};
use anyhow::{Result, ensure};
use scalableapp_e2e::world::{Server, World, wait_until};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const BOTH: [&str; 2] = ["shop-main-0", "shop-main-1"];
const SOON: Duration = Duration::from_secs(30);

/// Stops the replay of one replica and starts it again, with writes on the primary meanwhile.
async fn fall_behind(world: &World) -> Result<()> {
    let [stays, leaves] = BOTH;
    on_reader(world, leaves, "SELECT pg_wal_replay_pause()").await?;
    let out = service_has(world, &[stays], SOON).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    on_reader(world, leaves, "SELECT pg_wal_replay_resume()").await?;
    let back = service_has(world, &BOTH, SOON).await?;
    println!(
        "out of the read Service: {out:.1} s after the replay stopped, back: {back:.1} s after it went on"
    );
    Ok(())
}

#[tokio::test]
async fn replica_lag_excludes() -> Result<()> {
    World::run("replica_lag_excludes", async |world| {
        world.start_servers(&[Server::Payments]).await?;
        let mut app = with_readers(&without_cache(world)?, 2);
        app["spec"]["databases"][0]["postgres"]["readReplicas"]["maxLag"] = "2s".into();
        world.apply_app(&app).await?;
        wait_until("the stack is up", STACK_UP, async || world.is_up().await).await?;
        component_is_ready(world, "main", 2).await?;
        let order = world.stock_shop().await?;
        let url = format!("http://shop-web.{}.svc:8080/products", world.namespace());
        let load = world.start_load("load", &url, "60s@20").await?;

        let is_over = AtomicBool::new(false);
        let disturbed = async {
            let disturbed = fall_behind(world).await;
            is_over.store(true, Ordering::Relaxed);
            disturbed
        };
        let (disturbed, written) = tokio::join!(disturbed, own_writes(world, &order["account"], &is_over));
        disturbed?;
        let (writes, stale) = written?;
        let before = [turns(world, BOTH[0]).await?, turns(world, BOTH[1]).await?];
        let report = load.finish().await?;
        // Only reads, and then nothing at all.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let after = [turns(world, BOTH[0]).await?, turns(world, BOTH[1]).await?];
        println!(
            "own writes: {writes}, stale own reads: {stale}; left and came back: {before:?}, then {after:?}"
        );
        println!("replica_lag_excludes: {report:?}");
        ensure!(stale == 0 && report.failed.total() == 0, "{stale} stale own reads, {report:?}");
        ensure!(before[1].1 == 1 && before == after, "{before:?}, and on an idle primary {after:?}");
        Ok(())
    })
    .await
}
