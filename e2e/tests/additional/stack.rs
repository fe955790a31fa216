//! The stack of examples/stack.yaml in tests that change its data tiers.

use anyhow::{Context, Result, ensure};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// Time limit for the whole stack.
pub(super) const STACK_UP: Duration = Duration::from_secs(180);

/// The example without workers and without the module that needs them.
pub(super) fn stack(world: &World) -> Result<Value> {
    let mut app = world.example("examples/stack.yaml")?;
    let spec = app["spec"].as_object_mut().context("the example has no spec")?;
    spec.remove("workers");
    let services = spec["services"].as_array_mut().context("the example has no services")?;
    services.retain(|service| service["name"] == "web");
    // A test machine that stalls for a moment must not look like a data tier that refuses.
    services[0]["env"] = json!([{"name": "DATABASE_ACQUIRE_TIMEOUT", "value": "2s"}]);
    Ok(app)
}

/// Waits until a component of `shop` has this many desired and ready replicas. A shard that leaves a cache may stay for
/// five minutes.
pub(super) async fn component_is_ready(world: &World, name: &str, replicas: i32) -> Result<()> {
    wait_until("the replicas are ready", Duration::from_secs(420), async || {
        let status = world.apps().get("shop").await?.status.context("there is no status yet")?;
        let component = status.component(name).context("it is not in the status")?;
        ensure!(component.desired == replicas && component.ready == replicas, "{component:?}");
        Ok(())
    })
    .await
}
