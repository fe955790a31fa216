//! The real CloudNativePG: a Cluster of one instance gets read replicas by the load of an app that names it, and loses them
//! again, but never those that synchronous replication needs. No read fails meanwhile.

use super::CLOUD_NATIVE_PG;
use anyhow::{Context, Result, ensure};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use scalableapp_cluster::cloud_native_pg::postgres_major;
use scalableapp_crds::ComponentStatus;
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const WEB: &str = "services/shop-web:8080";
/// Time limit for an instance, which is created, cloned and joined on a busy machine.
const INSTANCE: Duration = Duration::from_secs(240);
/// HPA's default window of stabilization, and a little more.
const WINDOW: Duration = Duration::from_secs(310);
/// Each read takes 200 ms: four queries run at a time, and then fewer than one.
const LOAD: &str = "150s@20";
const LESS_LOAD: &str = "540s@2";
/// One product, which takes its time to be read.
const SLOW_READS: &str = "ALTER TABLE catalog.products RENAME TO stock; \
     CREATE VIEW catalog.products AS SELECT stock.* FROM catalog.stock, (SELECT pg_sleep(0.2) OFFSET 0) AS slow; \
     GRANT SELECT ON catalog.products TO shop";

#[tokio::test]
async fn cloud_native_pg_follows_the_load() -> Result<()> {
    let _alone = CLOUD_NATIVE_PG.lock().await;
    World::apart("cloud_native_pg_follows_the_load", async |world| {
        world.install_cloud_native_pg().await?;
        let result = follows(world).await;
        let removed = world.remove_cloud_native_pg().await;
        result.and(removed)
    })
    .await
}

async fn follows(world: &World) -> Result<()> {
    start(world).await?;
    let url = format!("http://shop-web.{}.svc:8080/products", world.namespace());
    let load = world.start_load("load", &url, LOAD).await?;
    wait_until("the operator asks for a second replica", Duration::from_secs(120), async || {
        has_instances(world, 3).await
    })
    .await?;
    let begun = Instant::now();
    wait_until("it is useful", INSTANCE, async || has_replicas(world, 2).await).await?;
    println!("a replica is useful {:.1} s after it was asked for", begun.elapsed().as_secs_f64());
    let report = load.finish().await?;
    println!("cloud_native_pg_follows_the_load: {report:?}");
    ensure!(report.failed.total() == 0 && from_replicas(world).await? > 0.0, "{report:?}");

    synchronous(world, json!({"method": "any", "number": 2})).await?;
    let load = world.start_load("less-load", &url, LESS_LOAD).await?;
    wait_until("fewer replicas would do", Duration::from_secs(120), async || {
        let replicas = has_replicas(world, 2).await?;
        ensure!(replicas.limited_by.starts_with("SynchronousReplicas"), "{replicas:?}");
        Ok(())
    })
    .await?;
    holds_for("synchronous replication keeps both", WINDOW, async || has_instances(world, 3).await).await?;
    synchronous(world, Value::Null).await?;
    wait_until("one replica is left", WINDOW + INSTANCE, async || {
        has_instances(world, 2).await?;
        has_replicas(world, 1).await
    })
    .await?;
    let report = load.finish().await?;
    println!("cloud_native_pg_follows_the_load, back to one replica: {report:?}");
    ensure!(report.failed.total() == 0, "{report:?}");
    Ok(())
}

/// A Cluster of one instance as its author writes it, and an app that asks for at least one replica and reads slowly.
async fn start(world: &World) -> Result<()> {
    cluster(world).await?;
    wait_until("the primary is ready", INSTANCE, async || {
        let cluster = clusters(world).get("pg").await?;
        ensure!(cluster.data["status"]["readyInstances"] == 1, "{}", cluster.data["status"]["phase"]);
        Ok(())
    })
    .await?;
    let _operator = world.own_operator_with(&json!({"cnpg": {"enabled": true}})).await?;
    let mut app = world.example("examples/cnpg.yaml")?;
    let web = &mut app["spec"]["services"][0];
    web["image"] = json!(world.images().app);
    web["args"] = json!(["--modules", "welcome,catalog"]);
    web["env"] = json!([
        {"name": "SIGNING_KEY", "value": format!("{:032x}", fastrand::u128(..))},
        {"name": "DATABASE_ACQUIRE_TIMEOUT", "value": "2s"},
    ]);
    let cnpg = &mut app["spec"]["databases"][0]["postgres"]["cnpg"];
    cnpg["clusterRef"]["name"] = json!("pg");
    cnpg["readReplicas"] = json!({"min": 1, "max": 2, "target": {"activeQueries": "2"}});
    let begun = Instant::now();
    world.apply_app(&app).await?;
    wait_until("the first replica is useful", INSTANCE, async || has_replicas(world, 1).await).await?;
    println!("the first replica is useful {:.1} s after the app was applied", begun.elapsed().as_secs_f64());
    wait_until("the app is up", INSTANCE, async || world.is_up().await).await?;
    let product = json!({"name": "Tea", "category": "drinks", "priceCents": 450});
    world.insist(WEB, "/products", "product", &product).await?.has(201)?;
    let psql = ["psql", "-U", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", "shop", "-c", SLOW_READS];
    world.exec("pg-1", "postgres", &psql).await.map(drop)
}

async fn cluster(world: &World) -> Result<()> {
    let image = world.images().postgres()?;
    let major = postgres_major()?;
    let catalog = json!({
        "apiVersion": "postgresql.cnpg.io/v1", "kind": "ImageCatalog", "metadata": {"name": "postgres"},
        "spec": {"images": [{"major": major, "image": image}]},
    });
    let cluster = json!({
        "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "pg"},
        "spec": {
            "instances": 1,
            "imageCatalogRef":
                {"apiGroup": "postgresql.cnpg.io", "kind": "ImageCatalog", "name": "postgres", "major": major},
            "imagePullPolicy": "IfNotPresent",
            // The user of the image.
            "postgresUID": 65532, "postgresGID": 65532,
            "bootstrap": {"initdb": {"database": "shop", "owner": "shop"}},
            "postgresql": {"parameters": {"shared_buffers": "32MB"}},
            "storage": {"size": "1Gi"},
            "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}},
        },
    });
    world.apply(&catalog.to_string()).await?;
    // Its webhooks answer a moment after its operator is ready.
    wait_until("CloudNativePG takes the Cluster", Duration::from_secs(60), async || {
        world.apply(&cluster.to_string()).await.map(drop)
    })
    .await
}

fn clusters(world: &World) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
    Api::namespaced_with(world.client(), world.namespace(), &ApiResource::from_gvk(&kind))
}

/// Sets what the author of the Cluster asks of synchronous replication.
async fn synchronous(world: &World, synchronous: Value) -> Result<()> {
    let patch = json!({"spec": {"postgresql": {"synchronous": synchronous}}});
    clusters(world).patch("pg", &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

async fn has_instances(world: &World, instances: i64) -> Result<()> {
    let cluster = clusters(world).get("pg").await?;
    ensure!(cluster.data["spec"]["instances"] == instances, "{}", cluster.data["spec"]["instances"]);
    Ok(())
}

/// Succeeds if the database has this many desired and ready replicas.
async fn has_replicas(world: &World, replicas: i32) -> Result<ComponentStatus> {
    let status = world.apps().get("shop").await?.status.context("there is no status yet")?;
    let main = status.component("main").context("it is not in the status")?;
    ensure!((main.desired, main.ready) == (replicas, replicas), "{main:?}");
    Ok(main.clone())
}

/// Reads that a replica answered.
async fn from_replicas(world: &World) -> Result<f64> {
    let service = format!("{}-prometheus:9090", world.namespace());
    let prometheus = world.prometheus(world.namespace(), &service);
    let reads = prometheus.query("sum(db_reads_routed_total{target=\"replica\"})").await?;
    let reads = reads.first().map_or(0.0, |sample| sample.value);
    println!("reads from replicas: {reads}");
    Ok(reads)
}
