//! The primary goes while its read replicas serve and while one is cloned, and a standby takes its place. Replicas that
//! may serve stale reads do so throughout; those that may not leave. All of them stream again from whatever has the name of
//! the primary, and no slot is left.

use super::readers::{service_has, with_readers, without_cache};
use super::stack::{STACK_UP, component_is_ready};
use anyhow::{Result, ensure};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{Server, World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const WEB: &str = "services/shop-web:8080";
const STANDBY: &str = "postgres-replica";
const FIRST: &str = "shop-main-0";
const SOON: Duration = Duration::from_secs(90);
/// Clones take seconds, so that one can be interrupted.
const SLOW_CLONES: &str = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "slow-clones"}, "data": {"MAX_RATE": "4M"}}"#;

fn app(world: &World, when_primary_is_gone: &str) -> Result<Value> {
    let mut app = with_readers(&without_cache(world)?, 1);
    let replicas = &mut app["spec"]["databases"][0]["postgres"]["readReplicas"];
    replicas["whenPrimaryIsGone"] = json!(when_primary_is_gone);
    replicas["maxLag"] = json!("2s");
    replicas["podTemplate"]["spec"]["containers"] =
        json!([{"name": "main", "envFrom": [{"configMapRef": {"name": "slow-clones"}}]}]);
    Ok(app)
}

/// Replicas that take no stale reads leave, say why, and come back with the primary.
async fn fail_and_return(world: &World) -> Result<()> {
    world.crash_primary().await?;
    let out = service_has(world, &[], SOON).await?;
    let said = wait_until("the condition names the primary", SOON, async || {
        world.says("Ready", ConditionStatus::False, "PrimaryUnreachable").await
    })
    .await?;
    println!("out of the read Service {out:.1} s after the primary was gone: {}", said.message);
    world.restart_primary().await?;
    let back = service_has(world, &[FIRST], SOON).await?;
    println!("back in it {back:.1} s after the primary was");
    Ok(())
}

/// The primary goes while the second replica is cloned; the first one serves.
async fn interrupt_a_clone(world: &World, app: &Value) -> Result<()> {
    world.apply_app(&with_readers(app, 2)).await?;
    wait_until("the second replica is cloned", SOON, async || {
        let log = world.logs("shop-main-1", Some("main")).await?;
        ensure!(log.contains("is being cloned"), "{log}");
        Ok(())
    })
    .await?;
    world.crash_primary().await?;
    holds_for("the first replica serves", Duration::from_secs(10), async || {
        world.get(WEB, "/products").await?.has(200)?;
        service_has(world, &[FIRST], Duration::from_secs(2)).await.map(drop)
    })
    .await?;
    world.restart_primary().await?;
    let back = service_has(world, &[FIRST, "shop-main-1"], SOON).await?;
    println!("two useful readers {back:.1} s after the primary was back from an outage during a clone");
    component_is_ready(world, "main", 2).await
}

async fn on_standby(world: &World, statement: &str) -> Result<String> {
    world.exec(STANDBY, "postgres", &["psql", "-qAtX", "-c", statement]).await
}

/// The standby gets the primary's place and name.
async fn fail_over(world: &World) -> Result<()> {
    let begun = Instant::now();
    world.crash_primary().await?;
    on_standby(world, "SELECT pg_promote()").await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "postgres"},
        "spec": {"selector": {"app": STANDBY}, "ports": [{"name": "postgres", "port": 5432}]},
    });
    world.apply(&service.to_string()).await?;
    wait_until("both replicas stream from the new primary", SOON, async || {
        let readers = "SELECT count(*) FROM pg_stat_replication WHERE application_name LIKE 'shop-main-%'";
        let streaming = on_standby(world, readers).await?;
        ensure!(streaming == "2", "{streaming} replicas stream");
        Ok(())
    })
    .await?;
    let streams = begun.elapsed().as_secs_f64();
    service_has(world, &[FIRST, "shop-main-1"], SOON).await?;
    let slots = "SELECT count(*) FILTER (WHERE NOT temporary) FROM pg_replication_slots";
    let slots = on_standby(world, slots).await?;
    println!(
        "both stream from the new primary {streams:.1} s after the old one was gone; slots left: {slots}"
    );
    ensure!(slots == "0", "{slots} slots");
    Ok(())
}

#[tokio::test]
async fn primary_failover_recovers() -> Result<()> {
    World::run("primary_failover_recovers", async |world| {
        world.start_servers(&[Server::Payments, Server::Replica]).await?;
        world.apply(SLOW_CLONES).await?;
        world.apply_app(&app(world, "fail")?).await?;
        wait_until("the stack is up", STACK_UP, async || world.is_up().await).await?;
        let order = world.stock_shop().await?;
        fail_and_return(world).await?;

        let app = app(world, "serve")?;
        world.apply_app(&app).await?;
        wait_until("the replica has the new template", SOON, async || {
            let pods = world.pods_of("main").await?;
            let has = |pod: &k8s_openapi::api::core::v1::Pod| {
                serde_json::to_string(&pod.spec).is_ok_and(|spec| spec.contains("\"serve\""))
            };
            ensure!(pods.len() == 1 && pods.iter().all(has), "not yet");
            Ok(())
        })
        .await?;
        service_has(world, &[FIRST], SOON).await?;
        wait_until("the stack is up", STACK_UP, async || world.is_up().await).await?;
        let url = format!("http://shop-web.{}.svc:8080/products", world.namespace());
        let load = world.start_load("load", &url, "120s@10").await?;
        interrupt_a_clone(world, &app).await?;
        fail_over(world).await?;
        world.insist(WEB, "/orders", "after", &order).await?.has(201)?;
        let report = load.finish().await?;
        println!("primary_failover_recovers: reads: {report:?}");
        ensure!(report.failed.total() == 0, "{report:?}");
        Ok(())
    })
    .await
}
