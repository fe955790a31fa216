//! The operator starts without CloudNativePG and says so of the database that names it, while the service runs. Once the
//! definition and the Cluster are there, it scales the Cluster by its scale alone, one settled step after another, with the
//! rights of the chart. A task stands in for the operator of CloudNativePG.

use super::CLOUD_NATIVE_PG;
use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// The part of the definition that scaling depends on: the paths of the subresource `scale`.
const DEFINITION: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: clusters.postgresql.cnpg.io}
spec:
  group: postgresql.cnpg.io
  scope: Namespaced
  names: {kind: Cluster, listKind: ClusterList, plural: clusters, singular: cluster}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
    subresources:
      status: {}
      scale:
        specReplicasPath: .spec.instances
        statusReplicasPath: .status.instances
        labelSelectorPath: .status.selector
";
/// How long a clone takes.
const CLONE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn cluster_of_cloud_native_pg_is_scaled() -> Result<()> {
    let _alone = CLOUD_NATIVE_PG.lock().await;
    World::apart("cluster_of_cloud_native_pg_is_scaled", async |world| {
        let definitions: Api<CustomResourceDefinition> = Api::all(world.client());
        let result = scaled(world).await;
        let _ = definitions.delete("clusters.postgresql.cnpg.io", &DeleteParams::default()).await;
        result
    })
    .await
}

async fn scaled(world: &World) -> Result<()> {
    let _operator = world.own_operator_with(&json!({"cnpg": {"enabled": true}})).await?;
    let mut app = world.shop(1, 1, "1000")?;
    let cnpg = |replicas: i32| json!({"clusterRef": {"name": "pg"}, "readReplicas": {"min": replicas, "max": replicas}});
    app["spec"]["databases"] = json!([{"name": "orders", "postgres": {"cnpg": cnpg(3)}}]);
    // The Secret of the Cluster does not exist here.
    app["spec"]["services"][0]["env"] = json!([{"name": "DATABASE_ORDERS_URL", "value": ""}]);
    world.apply_app(&app).await?;
    says(world, "CloudNativePGMissing", "CloudNativePG is not installed").await?;
    wait_until("the service runs without it", PATIENCE, async || world.has_ready(1).await).await?;

    world.apply(DEFINITION).await?;
    says(world, "ClusterNotFound", "the Cluster pg of CloudNativePG does not exist").await?;
    let clusters = clusters(world);
    let author = PatchParams::apply("author");
    let cluster = json!({
        "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "pg"},
        "spec": {"instances": 1, "storage": {"size": "1Gi"}, "postgresql": {"synchronous": {"method": "any", "number": 1}}},
    });
    wait_until("the definition is served", PATIENCE, async || {
        Ok(clusters.patch("pg", &author, &Patch::Apply(&cluster)).await.map(drop)?)
    })
    .await?;
    let stand_in = tokio::spawn(stand_in(clusters.clone()));
    let result = grows_and_shrinks(world, &clusters, app, cnpg).await;
    stand_in.abort();
    result
}

async fn grows_and_shrinks(
    world: &World,
    clusters: &Api<DynamicObject>,
    mut app: Value,
    cnpg: impl Fn(i32) -> Value,
) -> Result<()> {
    wait_until("three replicas are ready", PATIENCE, async || has_replicas(world, clusters, 3).await).await?;
    wait_until("the app is up", PATIENCE, async || world.is_up().await).await?;
    // Synchronous replication keeps one.
    app["spec"]["databases"][0]["postgres"]["cnpg"] = cnpg(1);
    world.apply_app(&app).await?;
    wait_until("one replica is left", PATIENCE, async || has_replicas(world, clusters, 1).await).await?;
    let cluster = clusters.get("pg").await?;
    ensure!(cluster.data["spec"]["storage"]["size"] == "1Gi", "the spec is its author's: {:?}", cluster.data);
    let managers = cluster.metadata.managed_fields.unwrap_or_default();
    let ours: Vec<_> =
        managers.iter().filter(|one| one.manager.as_deref() == Some("scalableapp-scaler")).collect();
    ensure!(ours.len() == 1 && ours[0].subresource.as_deref() == Some("scale"), "{ours:?}");
    let version = cluster.metadata.resource_version;
    holds_for("nothing is written at rest", Duration::from_secs(20), async || {
        let current = clusters.get("pg").await?.metadata.resource_version;
        ensure!(current == version, "{version:?} became {current:?}");
        Ok(())
    })
    .await
}

fn clusters(world: &World) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
    Api::namespaced_with(world.client(), world.namespace(), &ApiResource::from_gvk(&kind))
}

async fn says(world: &World, reason: &str, words: &str) -> Result<()> {
    wait_until(&format!("Ready says {reason}"), PATIENCE, async || {
        let condition = world.says("Ready", ConditionStatus::False, reason).await?;
        ensure!(condition.message.contains(words), "{condition:?}");
        Ok(())
    })
    .await
}

/// Whether the Cluster and the status of the app have this many replicas.
async fn has_replicas(world: &World, clusters: &Api<DynamicObject>, replicas: i64) -> Result<()> {
    let cluster = clusters.get("pg").await?;
    ensure!(cluster.data["spec"]["instances"] == replicas + 1, "{:?}", cluster.data);
    let app = world.apps().get("shop").await?;
    let status = app.status.context("no status")?;
    let orders = status.component("orders").context("no component")?;
    ensure!((i64::from(orders.desired), i64::from(orders.ready)) == (replicas, replicas), "{orders:?}");
    Ok(())
}

/// Makes one instance after another, as CloudNativePG does, and reports it.
async fn stand_in(clusters: Api<DynamicObject>) {
    let mut instances = 1;
    loop {
        let wanted = clusters.get("pg").await.ok().and_then(|one| one.data["spec"]["instances"].as_i64());
        let wanted = wanted.unwrap_or(instances);
        if wanted > instances {
            report(&clusters, instances, "Creating a new replica").await;
            tokio::time::sleep(CLONE).await;
            instances += 1;
        } else if wanted < instances {
            instances -= 1;
        }
        let phase = if wanted == instances { "Cluster in healthy state" } else { "Creating a new replica" };
        report(&clusters, instances, phase).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn report(clusters: &Api<DynamicObject>, instances: i64, phase: &str) {
    let names: Vec<String> = (1..=instances).map(|number| format!("pg-{number}")).collect();
    let status = json!({"status": {
        "instances": instances, "readyInstances": instances, "phase": phase,
        "currentPrimary": "pg-1", "targetPrimary": "pg-1", "instancesStatus": {"healthy": names},
    }});
    // It is tried again in a second.
    let _ = clusters.patch_status("pg", &PatchParams::default(), &Patch::Merge(&status)).await;
}
