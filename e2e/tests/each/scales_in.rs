//! When the load ends replicas go, after the window of stabilization, and no request is lost on the way.

use anyhow::{Result, ensure};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::json;
use std::time::{Duration, Instant};

/// A window that a test can wait for. `additional` has the test of HPA's default.
const WINDOW: Duration = Duration::from_secs(20);

#[tokio::test]
async fn scales_in() -> Result<()> {
    World::run("scales_in", async |world| after_load(world, Some(WINDOW), "60s@25,110s@4").await).await
}

/// Scales out and in again by this load. Without a window it is the default of 300 s.
pub(crate) async fn after_load(world: &World, window: Option<Duration>, load: &str) -> Result<()> {
    let mut app = world.shop(1, 3, "10")?;
    if let Some(window) = window {
        app["spec"]["services"][0]["scaling"]["behavior"] =
            json!({"scaleDown": {"stabilizationWindowSeconds": window.as_secs()}});
    }
    world.apply_app(&app).await?;
    wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
    let load = world.load_web("/wait?ms=5", load).await?;
    wait_until("the load is three replicas", Duration::from_secs(90), async || world.has_replicas(3).await)
        .await?;
    let out = Instant::now();
    let window = window.unwrap_or(Duration::from_secs(300));
    let left = window + Duration::from_secs(180);
    wait_until("one replica is left after the load", left, async || world.has_replicas(1).await).await?;
    let held = out.elapsed();
    ensure!(
        held > window - Duration::from_secs(10),
        "replicas went after {held:?}, before the window was over"
    );
    println!("scales_in: from the last scale-out to one replica: {} s", held.as_secs());
    let report = load.finish().await?;
    ensure!(report.failed.total() == 0, "{report:?}");
    Ok(())
}
