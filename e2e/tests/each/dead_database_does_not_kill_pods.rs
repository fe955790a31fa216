//! PostgreSQL's primary dies and comes back. Meanwhile the shop's pods stay ready and read from the replica, no pod is
//! restarted and none is added; afterwards they write again, and its worker works.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use scalableapp_e2e::world::{Server, World, holds_for, wait_until};
use serde_json::json;
use std::time::Duration;

const WEB: &str = "services/shop-web:8080";

/// The pods of both components by name, with the restarts of their containers.
async fn pods(world: &World) -> Result<Vec<(String, i32)>> {
    let restarts = |pod: &Pod| {
        let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        containers.map(|container| container.restart_count).sum()
    };
    let all = [world.pods_of("web").await?, world.pods_of("worker").await?].concat();
    Ok(all.iter().map(|pod| (pod.name_any(), restarts(pod))).collect())
}

#[tokio::test]
async fn dead_database_does_not_kill_pods() -> Result<()> {
    World::run("dead_database", async |world| {
        world.start_servers(&[Server::Replica]).await?;
        let mut app = world.shop_of(&["web", "worker"])?;
        let web = &mut app["spec"]["services"][0];
        web["args"] = json!(["--modules", "catalog,accounts,orders,reports"]);
        web["scaling"] = json!({"minReplicas": 1, "maxReplicas": 3, "metrics": [{"name": "rps", "requestRate": {"perReplica": "50"}}]});
        world.apply_app(&app).await?;
        wait_until("the shop is up", Duration::from_secs(120), async || world.is_up().await).await?;
        let order = world.stock_shop().await?;
        world.insist(WEB, "/orders", "before", &order).await?.has(201)?;
        let before = pods(world).await?;
        ensure!(before.len() == 2, "{before:?}");
        let url = format!("http://shop-web.{}.svc:8080/products", world.namespace());
        let load = world.start_load("load", &url, "60s@10").await?;
        wait_until("the replica has what was written", Duration::from_secs(30), async || {
            let products = world.get(WEB, "/products").await?.json(200)?;
            ensure!(products["products"][0]["name"] == "Tea", "{products}");
            Ok(())
        })
        .await?;

        world.crash_primary().await?;
        let mut refused = 0;
        holds_for("the pods are as they were", Duration::from_secs(20), async || {
            let answer = world.post(WEB, "/orders", "during", &order).await?;
            answer.has(503)?;
            ensure!(answer.headers.contains_key("retry-after") && answer.headers["x-degraded"] == "shed", "{answer:?}");
            refused += 1;
            for (pod, _) in &before {
                world.get(&format!("pods/{pod}:9090"), "/readyz").await?.has(200)?;
            }
            world.get(WEB, "/products").await?.has(200)?;
            world.is_up().await?;
            let now = pods(world).await?;
            ensure!(now == before, "{now:?} in place of {before:?}");
            Ok(())
        })
        .await?;
        println!("dead_database_does_not_kill_pods: {refused} orders refused in order");

        world.restart_primary().await?;
        wait_until("orders are taken again", Duration::from_secs(60), async || {
            world.post(WEB, "/orders", "during", &order).await?.has(201)
        })
        .await?;
        let orders = world.sql("SELECT count(*) FROM orders.orders").await?;
        ensure!(orders == "2", "{orders} orders: one before, and one under the key of the refused ones");
        let period = json!({"from": "2020-01-01", "to": "2099-12-31"});
        world.insist(WEB, "/reports", "report", &period).await?.has(202)?;
        wait_until("the worker makes reports again", Duration::from_secs(60), async || {
            let state = world.sql("SELECT state FROM jobs.jobs WHERE queue = 'reports'").await?;
            ensure!(state == "done", "the job is {state}");
            Ok(())
        })
        .await?;
        ensure!(pods(world).await? == before, "{:?} in place of {before:?}", pods(world).await?);
        let report = load.finish().await?;
        println!("dead_database_does_not_kill_pods: reads: {report:?}");
        ensure!(report.failed.total() == 0, "{report:?}");
        Ok(())
    })
    .await
}
