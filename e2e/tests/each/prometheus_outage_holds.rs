//! Without Prometheus no replica goes, the app stays Ready, and a condition says what is wrong. With it back no replica
//! goes of a load that has stayed, though rates read low at first, and then scaling goes on.

use anyhow::{Context, Result, ensure};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{OwnOperator, Program, REQUEST_WINDOW, STALENESS, World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// So long is Prometheus gone that nothing from before is fresh or within a window any more.
const OUTAGE: Duration = REQUEST_WINDOW.saturating_add(STALENESS).saturating_add(Duration::from_secs(15));
/// The longest time between two tries to reach it, and the window that fills again then.
const RETURN: Duration = Duration::from_secs(30).saturating_add(REQUEST_WINDOW);

/// `web`, which is scaled on its own request rate without a window that would keep replicas, and `api`, which is scaled on
/// a query of that rate, of which the operator does not know how far it looks back: a window as long as that keeps them.
fn pair(world: &World) -> Result<Value> {
    let mut app = world.shop(1, 3, "10")?;
    let services = app["spec"]["services"].as_array_mut().context("no services")?;
    let mut api = services[0].clone();
    api["name"] = json!("api");
    let window = REQUEST_WINDOW.as_secs();
    let query =
        format!("sum(rate(http_server_request_duration_seconds_count{{component=\"web\"}}[{window}s]))");
    api["scaling"]["metrics"] =
        json!([{"name": "asked", "prometheus": {"query": query, "perReplica": "10"}}]);
    services.push(api);
    for (service, window) in services.iter_mut().zip([0, window]) {
        service["scaling"]["behavior"] = json!({"scaleDown": {"stabilizationWindowSeconds": window}});
    }
    Ok(app)
}

#[tokio::test]
async fn prometheus_outage_holds() -> Result<()> {
    World::apart("prometheus_outage_holds", async |world| {
        let operator = world.own_operator().await?;
        world.apply_app(&pair(world)?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let load = world.load_web("/wait?ms=5", "390s@28").await?;
        wait_until("the load is three replicas of each", Duration::from_secs(90), async || {
            world.has_replicas(6).await
        })
        .await?;
        outage(world, &operator).await?;
        holds_for("the return takes none", RETURN, async || world.has_replicas(6).await).await?;
        wait_until("Prometheus is heard again", Duration::from_secs(120), async || {
            world.says("MetricsAvailable", ConditionStatus::True, "AllMetricsFresh").await
        })
        .await?;
        load.kill().await?;
        wait_until("without load one replica of each is left", Duration::from_secs(120), async || {
            world.has_replicas(2).await
        })
        .await
    })
    .await
}

/// Prometheus goes while there is load, and comes back.
async fn outage(world: &World, operator: &OwnOperator<'_>) -> Result<()> {
    operator.scale(Program::Prometheus, 0).await?;
    holds_for("all replicas stay and the app is Ready", OUTAGE, async || {
        world.has_replicas(6).await?;
        world.says("Ready", ConditionStatus::True, "UpAsDeclared").await.map(drop)
    })
    .await?;
    let condition = world.condition("MetricsAvailable").await?;
    ensure!(condition.status == ConditionStatus::False, "{condition:?}");
    println!("prometheus_outage_holds: {}: {}", condition.reason, condition.message);
    operator.scale(Program::Prometheus, 1).await
}
