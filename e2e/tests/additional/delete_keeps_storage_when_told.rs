//! The claims of read replicas are kept when the app is deleted, if it says so; the next app of that name uses the copies
//! again. Otherwise they go with the app.

use super::readers::{with_readers, without_cache};
use super::stack::STACK_UP;
use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use scalableapp_e2e::world::{Server, World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(90);

fn app(world: &World, policy: &str) -> Result<Value> {
    let mut app = with_readers(&without_cache(world)?, 2);
    let replicas = &mut app["spec"]["databases"][0]["postgres"]["readReplicas"];
    (replicas["storage"], replicas["storagePolicy"]) = (json!("1Gi"), json!(policy));
    Ok(app)
}

async fn claims(world: &World) -> Result<Vec<String>> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(world.client(), world.namespace());
    Ok(claims.list(&ListParams::default()).await?.items.iter().map(ResourceExt::name_any).collect())
}

async fn delete(world: &World) -> Result<()> {
    world.apps().delete("shop", &DeleteParams::background()).await?;
    wait_until("the replicas are gone", SOON, async || {
        let sets: Api<StatefulSet> = Api::namespaced(world.client(), world.namespace());
        let (sets, pods) = (sets.list(&ListParams::default()).await?.items, world.pods_of("main").await?);
        ensure!(sets.is_empty() && pods.is_empty(), "{} StatefulSets, {} pods", sets.len(), pods.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn delete_keeps_storage_when_told() -> Result<()> {
    World::run("delete_keeps_storage_when_told", async |world| {
        world.start_servers(&[Server::Payments]).await?;
        world.apply_app(&app(world, "Retain")?).await?;
        wait_until("the stack is up", STACK_UP, async || world.is_up().await).await?;
        delete(world).await?;
        let kept = ["data-shop-main-0", "data-shop-main-1"];
        holds_for("the claims are kept", Duration::from_secs(10), async || {
            let claims = claims(world).await?;
            ensure!(claims == kept, "{claims:?}");
            Ok(())
        })
        .await?;

        let begun = Instant::now();
        world.apply_app(&app(world, "Retain")?).await?;
        wait_until("the stack is up", STACK_UP, async || world.is_up().await).await?;
        println!("useful readers from kept claims: {:.1} s", begun.elapsed().as_secs_f64());
        let log = world.logs("shop-main-0", Some("main")).await?;
        ensure!(log.contains("it is used again") && !log.contains("is being cloned"), "{log}");

        world.apply_app(&app(world, "Delete")?).await?;
        wait_until("the StatefulSet has the policy", SOON, async || {
            let sets: Api<StatefulSet> = Api::namespaced(world.client(), world.namespace());
            let spec = sets.get("shop-main").await?.spec.unwrap_or_default();
            let policy = spec.persistent_volume_claim_retention_policy.unwrap_or_default();
            ensure!(policy.when_deleted.as_deref() == Some("Delete"), "{policy:?}");
            Ok(())
        })
        .await?;
        wait_until("the claims belong to it", SOON, async || {
            let claims: Api<PersistentVolumeClaim> = Api::namespaced(world.client(), world.namespace());
            let claims = claims.list(&ListParams::default()).await?.items;
            ensure!(claims.iter().all(|claim| !claim.owner_references().is_empty()), "not yet");
            Ok(())
        })
        .await?;
        delete(world).await?;
        wait_until("no claim is left", SOON, async || {
            let claims = claims(world).await?;
            ensure!(claims.is_empty(), "{claims:?}");
            Ok(())
        })
        .await
    })
    .await
}
