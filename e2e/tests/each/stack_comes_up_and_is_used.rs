//! The stack of examples/stack.yaml comes up from one object: its pods read from its replicas and its cache, and its
//! workers come for a job. Nothing of it is left once the app is deleted.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams};
use scalableapp_e2e::world::{Server, World, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const WEB: &str = "services/shop-web:8080";
const REPORTS: &str = "services/shop-reports:8080";
const SLOTS: &str = "SELECT count(*) FILTER (WHERE NOT temporary), count(*) FROM pg_replication_slots";

/// Reads that replicas and cache can answer, and a session.
async fn use_it(world: &World, product: &Value) -> Result<()> {
    let path = format!("/products/{product}");
    let reads = (0..20).map(|_| async { world.get(WEB, &path).await?.has(200) });
    try_join_all(reads).await?;
    world.get(WEB, "/products?category=drinks").await?.has(200)?;
    world.insist(WEB, "/visits", "v", &json!({})).await?.has(200)
}

async fn is_measured(world: &World, product: &Value, selector: &str) -> Result<()> {
    wait_until("the counter moves", Duration::from_secs(60), async || {
        use_it(world, product).await?;
        let value = world.sum_of(selector).await?;
        ensure!(value > 0.0, "{selector} is {value}");
        Ok(())
    })
    .await
}

async fn report(world: &World) -> Result<()> {
    let period = json!({"from": "2020-01-01", "to": "2099-12-31"});
    let accepted = world.insist(REPORTS, "/reports", "r", &period).await?.json(202)?;
    let status = accepted["status"].as_str().context("no status")?;
    wait_until("a worker comes and makes the report", Duration::from_secs(60), async || {
        let job = world.get(REPORTS, status).await?.json(200)?;
        ensure!(job["state"] == "done", "{job}");
        Ok(())
    })
    .await
}

async fn nothing_is_left(world: &World) -> Result<()> {
    let (client, namespace) = (world.client(), world.namespace());
    let of_apps = ListParams::default().labels("scalableapp.dev/app");
    let pods = Api::<Pod>::namespaced(client.clone(), namespace).list(&of_apps).await?.items.len();
    let sets = Api::<StatefulSet>::namespaced(client.clone(), namespace).list(&of_apps).await?.items.len();
    let files = Api::<ConfigMap>::namespaced(client.clone(), namespace).list(&of_apps).await?.items.len();
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace).list(&of_apps).await?.items.len();
    let all = ListParams::default();
    let claims = Api::<PersistentVolumeClaim>::namespaced(client, namespace).list(&all).await?.items.len();
    let left = [pods, sets, files, secrets, claims];
    ensure!(left == [0; 5], "pods, StatefulSets, ConfigMaps, Secrets, claims: {left:?}");
    Ok(())
}

#[tokio::test]
async fn stack_comes_up_and_is_used() -> Result<()> {
    World::run("stack_comes_up_and_is_used", async |world| {
        world.start_servers(&[Server::Payments]).await?;
        world.apply_app(&world.example("examples/stack.yaml")?).await?;
        let begun = Instant::now();
        wait_until("the stack is up", Duration::from_secs(180), async || world.is_up().await).await?;
        println!("stack applied to ready: {:.0} s", begun.elapsed().as_secs_f64());

        let order = world.stock_shop().await?;
        let product = &order["items"][0]["product"];
        is_measured(world, product, "db_reads_routed_total{NAMESPACE,target=\"replica\"}").await?;
        is_measured(world, product, "cache_requests_total{NAMESPACE,result=\"hit\"}").await?;
        is_measured(world, product, "redis_keyspace_hits_total{NAMESPACE,component=\"sessions\"}").await?;
        report(world).await?;
        let slots = world.sql(SLOTS).await?;
        ensure!(slots == "0|1", "permanent slots, all slots: {slots}");

        world.apps().delete("shop", &DeleteParams::background()).await?;
        wait_until("nothing is left", Duration::from_secs(90), async || nothing_is_left(world).await).await?;
        wait_until("no slot is left", Duration::from_secs(30), async || {
            let slots = world.sql(SLOTS).await?;
            ensure!(slots == "0|0", "permanent slots, all slots: {slots}");
            Ok(())
        })
        .await?;
        println!("slots left: 0");
        Ok(())
    })
    .await
}
