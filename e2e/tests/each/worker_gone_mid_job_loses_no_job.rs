//! A worker's pod goes in the middle of its jobs, with its process and its disk. The next worker does each of them, and
//! what a job does to the world is done once.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use hyper::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use scalableapp_e2e::world::{Server, World, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

const JOBS: usize = 4;
const PROVIDER: &str = "services/payments:80";
/// Ends the worker's process without a word. There is no such program in its own container, and a first process could not
/// be ended from inside; so the pod shares its processes with a container that has a shell.
const KILL: &str = "for of in /proc/[0-9]*; do read -r name <$of/comm && [ $name = app-template ] && kill -9 ${of#/proc/}; done";

const RUNNING: &str =
    "SELECT count(*), count(DISTINCT worker), min(attempts) FROM jobs.jobs WHERE state = 'running'";

async fn provider_behaves(world: &World, behavior: &Value) -> Result<()> {
    let request = Request::put("/behavior").header("content-type", "application/json");
    world.call(PROVIDER, request.body(behavior.to_string())?).await?.has(200)
}

/// Orders for which nobody has charged yet: the provider gives no answer.
async fn place_orders(world: &World) -> Result<()> {
    let order = world.stock_shop().await?;
    let keys: Vec<String> = (0..JOBS).map(|number| number.to_string()).collect();
    let orders = keys
        .iter()
        .map(async |key| world.insist("services/shop-web:8080", "/orders", key, &order).await?.has(202));
    try_join_all(orders).await.map(drop)
}

#[tokio::test]
async fn worker_gone_mid_job_loses_no_job() -> Result<()> {
    World::run("worker_gone_mid_job", async |world| {
        world.start_servers(&[Server::Payments]).await?;
        let mut app = world.shop_of(&["web", "worker"])?;
        app["spec"]["services"][0]["args"] = json!(["--modules", "catalog,accounts,orders"]);
        app["spec"]["workers"][0]["args"] = json!(["worker", "--queue", "payments,reports", "--lease", "6s"]);
        let pod = &mut app["spec"]["workers"][0]["podTemplate"]["spec"];
        pod["shareProcessNamespace"] = json!(true);
        let shell =
            json!({"name": "shell", "image": world.images().postgres()?, "command": ["sleep", "infinity"]});
        pod["containers"].as_array_mut().context("the worker has no containers")?.push(shell);
        world.apply_app(&app).await?;
        wait_until("the shop is up", Duration::from_secs(120), async || world.is_up().await).await?;

        provider_behaves(world, &json!({"hang": true})).await?;
        place_orders(world).await?;
        wait_until("the worker is in the middle of all jobs", Duration::from_secs(30), async || {
            let running = world.sql(RUNNING).await?;
            ensure!(running == format!("{JOBS}|1|1"), "{running} jobs, workers, attempts");
            Ok(())
        })
        .await?;
        let worker = world.pods_of("worker").await?.into_iter().next().context("no worker")?.name_any();
        // What the last command of the loop says depends on the processes that there are.
        let _ = world.exec(&worker, "shell", &["sh", "-c", KILL]).await;
        let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        pods.delete(&worker, &at_once).await?;
        provider_behaves(world, &json!({})).await?;

        wait_until("another worker has done them", Duration::from_secs(60), async || {
            let done =
                world.sql("SELECT count(*), min(attempts) > 1 FROM jobs.jobs WHERE state = 'done'").await?;
            ensure!(done == format!("{JOBS}|t"), "{done} jobs, begun more than once");
            Ok(())
        })
        .await?;
        ensure!(
            world.sql("SELECT count(*) FROM jobs.jobs").await? == JOBS.to_string(),
            "there are other jobs"
        );
        let charged = world.sql("SELECT count(*), count(DISTINCT order_id) FROM orders.charges").await?;
        ensure!(charged == format!("{JOBS}|{JOBS}"), "{charged} charges, orders");
        let paid = world.sql("SELECT count(*) FROM orders.orders WHERE state = 'paid'").await?;
        ensure!(paid == JOBS.to_string(), "{paid} orders are paid");
        let taken = world.get(PROVIDER, "/taken").await?.json(200)?;
        ensure!(taken["count"] == JOBS, "{taken}");
        Ok(())
    })
    .await
}
