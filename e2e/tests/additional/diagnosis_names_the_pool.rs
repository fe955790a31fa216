//! The connection pools of a service become too small for its load, while the database is as fast as before. The status names
//! the pool, and no pod is added although the latency is above its target. With larger pools nothing is said any more.

use super::diagnosis::{account, accounts, bottleneck, is_named, nothing_is_said, slow_reads};
use anyhow::{Result, ensure};
use scalableapp_e2e::world::{DIAGNOSIS_WINDOW, World, holds_for, wait_until};
use std::time::Duration;

/// What each read of an account takes, from the beginning on.
const READ: Duration = Duration::from_millis(60);
/// Connections of a pod that are enough, and too few: of two pods with one each nine tenths are in use on average.
const POOLS: (i32, i32) = (6, 1);
/// The latency with large pools is well below, and above with small ones.
const TARGET: &str = "150ms";

#[tokio::test]
async fn diagnosis_names_the_pool() -> Result<()> {
    World::apart("diagnosis_names_the_pool", async |world| {
        world.start_servers_with(&[], 100).await?;
        let _operator = world.own_operator().await?;
        world.apply_app(&accounts(world, POOLS.0, TARGET)?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let path = account(world).await?;
        slow_reads(world, READ).await?;
        for _ in 0..20 {
            world.get("services/shop-web:8080", &path).await?;
        }
        // Slow first, because the sessions are new.
        let load = world.load_web(&path, "20s@5,1200s@30").await?;
        holds_for("nothing is said while the pools are large", DIAGNOSIS_WINDOW * 6, async || {
            nothing_is_said(world).await
        })
        .await?;
        let before = world.replicas().await?;
        world.apply_app(&accounts(world, POOLS.1, TARGET)?).await?;
        let said = is_named(world, ("web", "PoolTooSmall"), DIAGNOSIS_WINDOW * 3).await?;
        ensure!(said.advice == "EnlargePool", "{said:?}");
        let replicas = world.replicas().await?;
        holds_for("no pod is added, and what is said stays", DIAGNOSIS_WINDOW, async || {
            let (now, still) = (world.replicas().await?, bottleneck(world).await?);
            ensure!(now <= replicas, "{now} replicas after {replicas}");
            ensure!(still.as_ref() == Some(&said), "{still:?}");
            Ok(())
        })
        .await?;
        println!(
            "diagnosis_names_the_pool: {before} replicas of 6 before, {replicas} while the pools were small"
        );
        world.apply_app(&accounts(world, POOLS.0, TARGET)?).await?;
        wait_until("nothing is said any more", DIAGNOSIS_WINDOW * 3, async || nothing_is_said(world).await)
            .await?;
        load.kill().await
    })
    .await
}
