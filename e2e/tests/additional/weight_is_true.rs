//! The weight of a canary behind a real gateway is the share of the requests that it gets, counted by its pods: 1% of them
//! within half a percentage point, and then 25%. No request fails while the weights change.

use super::GATEWAY;
use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
/// Two scrapes of Prometheus and their arrival.
const SCRAPED: Duration = Duration::from_secs(15);
/// 4,000 requests: at 1% the standard deviation of a random choice would be 0.16 points.
const LOAD: &str = "40s@100";

#[tokio::test]
async fn weight_is_true() -> Result<()> {
    let _alone = GATEWAY.lock().await;
    World::run("weight_is_true", async |world| {
        world.install_gateway().await?;
        let result = is_true(world).await;
        let removed = world.remove_gateway().await;
        result.and(removed)
    })
    .await
}

async fn is_true(world: &World) -> Result<()> {
    let mut app = world.shop(2, 2, "1000")?;
    let canary = |weight: i32| json!({"canary": {"steps": [{"weight": weight, "hold": "1h"}]}});
    let web = &mut app["spec"]["services"][0];
    web["route"] = world.route();
    web["rollout"] = canary(1);
    world.apply_app(&app).await?;
    wait_until("the app is up", PATIENCE, async || world.is_up().await).await?;
    let stable = revision(world, 0).await?;

    app["spec"]["services"][0]["env"] = json!([{"name": "VERSION", "value": "2"}]);
    world.apply_app(&app).await?;
    for weight in [1, 25] {
        app["spec"]["services"][0]["rollout"] = canary(weight);
        world.apply_app(&app).await?;
        wait_until("the HTTPRoute has the weight", PATIENCE, async || has_weight(world, weight).await)
            .await?;
        let trial = revision(world, 1).await?;
        let before = (counted(world, &stable).await?, counted(world, &trial).await?);
        let load = world.load_gateway(&format!("load-{weight}"), "/wait?ms=5", LOAD).await?;
        let report = load.finish().await?;
        tokio::time::sleep(SCRAPED).await;
        let after = (counted(world, &stable).await?, counted(world, &trial).await?);
        let (of_stable, of_trial) = (after.0 - before.0, after.1 - before.1);
        let share = 100.0 * of_trial / (of_stable + of_trial);
        println!(
            "weight_is_true: weight {weight}%, share {share:.2}%, {of_trial} of {}",
            of_stable + of_trial
        );
        ensure!(report.failed.total() == 0, "{report:?}");
        ensure!(of_stable + of_trial >= report.ok as f64, "{of_stable} and {of_trial} of {report:?}");
        ensure!((share - f64::from(weight)).abs() <= 0.5, "{share}");
    }
    Ok(())
}

/// The revision of the Deployment of this place, oldest first.
async fn revision(world: &World, place: usize) -> Result<String> {
    let deployments = world.deployments().await?;
    let deployment = deployments.get(place).with_context(|| format!("there is no Deployment {place}"))?;
    deployment.labels().get("scalableapp.dev/revision").cloned().context("it has no revision")
}

/// Requests for `/wait` that the pods of a revision have counted.
async fn counted(world: &World, revision: &str) -> Result<f64> {
    let selector = format!(
        "http_server_request_duration_seconds_count{{NAMESPACE,revision=\"{revision}\",http_route=\"/wait\"}}"
    );
    world.sum_of(&selector).await
}

async fn has_weight(world: &World, weight: i32) -> Result<()> {
    let route = world.http_routes().get("shop-web").await?;
    let services = route.data.pointer("/spec/rules/0/backendRefs").and_then(Value::as_array);
    let mut weights: Vec<i64> =
        services.into_iter().flatten().filter_map(|one| one["weight"].as_i64()).collect();
    weights.sort_unstable();
    ensure!(weights == [i64::from(weight), i64::from(100 - weight)], "{weights:?}");
    let seen =
        route.data.pointer("/status/parents/0/conditions/0/observedGeneration").and_then(Value::as_i64);
    ensure!(seen == route.metadata.generation, "the gateway has seen generation {seen:?}");
    Ok(())
}
