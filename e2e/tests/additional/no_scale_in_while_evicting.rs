//! A cache whose keys are evicted keeps its shards although its CPU is idle, and loses one when no more are evicted.

use super::DEFAULT_WINDOW;
use super::stack::component_is_ready;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// Writes new keys of 10 kB for so many seconds, fifty a second: a tenth of a second's CPU.
const WRITE: &str = r#"
value=$(printf '%010000d' 0)
end=$((SECONDS + $0))
while [ $SECONDS -lt $end ]; do
    for number in {1..25}; do echo "SET key:$RANDOM$RANDOM $value"; done
    sleep 0.5
done | redis-cli >/dev/null
"#;

fn with_shards(app: &Value, min: i32, max: i32) -> Value {
    let mut app = app.clone();
    app["spec"]["caches"][0]["redis"]["shards"] = json!({"min": min, "max": max});
    app["spec"]["caches"][0]["redis"]["memory"] = json!("32Mi");
    // The writer below runs in the pods of the shards.
    app["spec"]["caches"][0]["redis"]["target"] = json!({"cpuUtilization": 2000});
    app
}

async fn desired(world: &World) -> Result<(i32, String)> {
    let status = world.apps().get("shop").await?.status.context("there is no status yet")?;
    let cache = status.component("sessions").context("the cache is not in the status")?;
    Ok((cache.desired, cache.limited_by.clone()))
}

async fn evict(world: &World, time: Duration) -> Result<()> {
    let seconds = time.as_secs().to_string();
    let write = async |shard: &str| world.exec(shard, "sessions", &["bash", "-c", WRITE, &seconds]).await;
    try_join_all(["shop-sessions-0", "shop-sessions-1"].map(write)).await?;
    Ok(())
}

#[tokio::test]
async fn no_scale_in_while_evicting() -> Result<()> {
    World::run("no_scale_in_while_evicting", async |world| {
        let app = world.example("examples/cache.yaml")?;
        world.apply_app(&with_shards(&app, 2, 2)).await?;
        component_is_ready(world, "sessions", 2).await?;
        let evicted = "rate(redis_evicted_keys_total{NAMESPACE,component=\"sessions\"}[1m])";
        let time = DEFAULT_WINDOW + Duration::from_secs(120);
        let stays = async {
            wait_until("keys are evicted", Duration::from_secs(120), async || {
                let evicted = world.sum_of(evicted).await?;
                ensure!(evicted > 0.0, "{evicted} keys a second");
                Ok(())
            })
            .await?;
            world.apply_app(&with_shards(&app, 1, 2)).await?;
            wait_until("that is why no shard leaves", DEFAULT_WINDOW, async || {
                let (_, limited_by) = desired(world).await?;
                ensure!(limited_by.contains("KeysAreEvicted"), "limited by {limited_by:?}");
                Ok(())
            })
            .await?;
            holds_for("both shards stay", Duration::from_secs(60), async || {
                let desired = desired(world).await?;
                ensure!(desired.0 == 2, "{desired:?}");
                Ok(())
            })
            .await
        };
        futures::try_join!(evict(world, time), stays)?;
        println!("no_scale_in_while_evicting: two shards while keys were evicted");
        component_is_ready(world, "sessions", 1).await
    })
    .await
}
