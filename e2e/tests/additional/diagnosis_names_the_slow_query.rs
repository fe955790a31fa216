//! The statements of a real PostgreSQL become slow. The status names the database and the cause, and no pod is added although
//! the latency is above its target. Before, under load and a peak of it, nothing is said.

use super::diagnosis::{account, accounts, bottleneck, fast_reads, is_named, nothing_is_said, slow_reads};
use anyhow::{Result, ensure};
use scalableapp_e2e::world::{DIAGNOSIS_WINDOW, World, holds_for, wait_until};
use std::time::Duration;

/// What each read of an account takes more.
const SLOW: Duration = Duration::from_millis(300);

#[tokio::test]
async fn diagnosis_names_the_slow_query() -> Result<()> {
    World::apart("diagnosis_names_the_slow_query", async |world| {
        world.start_servers_with(&[], 100).await?;
        let _operator = world.own_operator().await?;
        world.apply_app(&accounts(world, 12, "100ms")?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let path = account(world).await?;
        // With a peak, which is none of its problems.
        let load = world.load_web(&path, "240s@12,40s@24,600s@12").await?;
        holds_for("nothing is said while nothing is wrong", DIAGNOSIS_WINDOW * 6, async || {
            nothing_is_said(world).await
        })
        .await?;
        slow_reads(world, SLOW).await?;
        let said = is_named(world, ("main", "DatabaseSlow"), DIAGNOSIS_WINDOW * 3).await?;
        let replicas = world.replicas().await?;
        holds_for("no pod is added, and what is said stays", DIAGNOSIS_WINDOW, async || {
            let (now, still) = (world.replicas().await?, bottleneck(world).await?);
            ensure!(now <= replicas, "{now} replicas after {replicas}");
            ensure!(still.as_ref() == Some(&said), "{still:?}");
            Ok(())
        })
        .await?;
        println!("diagnosis_names_the_slow_query: {replicas} replicas of 6 while the query was slow");
        fast_reads(world).await?;
        wait_until("nothing is said any more", DIAGNOSIS_WINDOW * 3, async || nothing_is_said(world).await)
            .await?;
        load.kill().await
    })
    .await
}
