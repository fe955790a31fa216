//! The pool of examples/workers.yaml has no pod until the first job comes, one soon afterwards, and none after the last
//! job. Each job is done once.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use scalableapp_crds::{ComponentStatus, ConditionStatus};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::json;
use std::time::{Duration, Instant};

const WEB: &str = "services/shop-web:8080";
const BURST: usize = 60;
const DONE: &str = "SELECT count(*) FROM jobs.jobs WHERE queue = 'reports' AND state = 'done'";

async fn pool(world: &World) -> Result<ComponentStatus> {
    let status = world.apps().get("shop").await?.status.context("there is no status yet")?;
    status.component("reports").cloned().context("reports is not in the status")
}

async fn order_reports(world: &World, keys: std::ops::Range<usize>) -> Result<()> {
    let period = json!({"from": "2020-01-01", "to": "2099-12-31"});
    let one = |key: usize| {
        let (period, key) = (period.clone(), format!("r{key}"));
        async move { world.insist(WEB, "/reports", &key, &period).await?.json(202).map(drop) }
    };
    try_join_all(keys.map(one)).await.map(drop)
}

async fn are_done(world: &World, jobs: usize) -> Result<()> {
    let done = world.sql(DONE).await?;
    ensure!(done == jobs.to_string(), "{done} of {jobs} reports are done");
    Ok(())
}

async fn has_none(world: &World) -> Result<()> {
    let pool = pool(world).await?;
    ensure!(pool.desired == 0 && pool.ready == 0, "{pool:?}");
    ensure!(world.pods_of("reports").await?.is_empty(), "a pod is left");
    Ok(())
}

#[tokio::test]
async fn workers_reach_zero_and_return() -> Result<()> {
    World::run("workers_reach_zero_and_return", async |world| {
        world.start_servers(&[]).await?;
        let mut app = world.example("examples/workers.yaml")?;
        app["spec"]["workers"][0]["scaling"]["behavior"] =
            json!({"scaleDown": {"stabilizationWindowSeconds": 20}});
        world.apply_app(&app).await?;
        wait_until("the app is up", Duration::from_secs(120), async || world.is_up().await).await?;
        wait_until("the backlog is measured", Duration::from_secs(60), async || {
            world.says("MetricsAvailable", ConditionStatus::True, "AllMetricsFresh").await
        })
        .await?;
        has_none(world).await?;

        let begun = Instant::now();
        order_reports(world, 0..1).await?;
        wait_until("the first job is done", Duration::from_secs(60), async || are_done(world, 1).await)
            .await?;
        println!("first job to its result: {:.1} s", begun.elapsed().as_secs_f64());

        order_reports(world, 1..BURST).await?;
        wait_until("every job is done", Duration::from_secs(120), async || are_done(world, BURST).await)
            .await?;
        wait_until("no worker is left", Duration::from_secs(180), async || has_none(world).await).await?;
        let runs = world.sql("SELECT sum(attempts) FROM jobs.jobs WHERE queue = 'reports'").await?;
        ensure!(runs == BURST.to_string(), "{runs} runs of {BURST} jobs");
        Ok(())
    })
    .await
}
