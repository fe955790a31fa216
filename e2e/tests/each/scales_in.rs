//! When the load ends replicas go, with HPA's default of 300 s of stabilization, and no request is lost on the way.

use anyhow::{Result, ensure};
use scalableapp_e2e::world::{World, wait_until};
use std::time::{Duration, Instant};

#[tokio::test]
async fn scales_in() -> Result<()> {
    World::run("scales_in", async |world| {
        world.apply_app(&world.shop(1, 3, "10")?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let load = world.load_web("/wait?ms=5", "60s@25,370s@4").await?;
        wait_until("the load is three replicas", Duration::from_secs(90), async || {
            ensure!(world.replicas().await? == 3, "{} replicas", world.replicas().await?);
            Ok(())
        })
        .await?;
        let out = Instant::now();
        wait_until("one replica is left after the load", Duration::from_secs(480), async || {
            ensure!(world.replicas().await? == 1, "{} replicas", world.replicas().await?);
            Ok(())
        })
        .await?;
        let held = out.elapsed();
        ensure!(held > Duration::from_secs(290), "replicas went after {held:?}, before the window was over");
        println!("scales_in: from the last scale-out to one replica: {} s", held.as_secs());
        let report = load.finish().await?;
        ensure!(report.failed.total() == 0, "{report:?}");
        Ok(())
    })
    .await
}
