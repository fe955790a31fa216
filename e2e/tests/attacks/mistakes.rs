//! A mistake in one component's spec is told with its path, and stops no other component.

use crate::arena::Arena;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use scalableapp_crds::ScalableApp;
use scalableapp_e2e::world::wait_until;
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// An app of two services with fixed replicas, the first of which has this podTemplate.
fn app(template: &Value, replicas: i32) -> Result<ScalableApp> {
    let scaling = json!({"minReplicas": replicas, "maxReplicas": replicas});
    let app = json!({
        "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "metadata": {"name": "shop"},
        "spec": {"image": "registry.example/shop:1", "services": [
            // Numbers without quotes, as Kubernetes takes them.
            {"name": "web", "port": 8080, "resources": {"requests": {"cpu": 0.5}}, "podTemplate": template},
            {"name": "api", "port": 8080, "scaling": scaling},
        ]},
    });
    Ok(serde_json::from_value(app)?)
}

async fn deployments(client: &Client, namespace: &str) -> Result<Vec<(String, i32)>> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let replicas = |one: &Deployment| one.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default();
    let all = api.list(&Default::default()).await?;
    Ok(all.iter().map(|one| (one.name_any(), replicas(one))).collect())
}

#[tokio::test]
async fn one_mistake_stops_one_component_and_is_told_with_its_path() -> Result<()> {
    let client = Client::try_default().await?;
    let mut arena = Arena::start(client.clone(), &[]).await?;
    arena.leads().await?;
    let namespace = arena.tenant().await?;
    let apps: Api<ScalableApp> = Api::namespaced(client.clone(), &namespace);
    let proxy =
        json!({"name": "proxy", "image": "registry.example/proxy:1", "resources": {"limits": {"cpu": 0.5}}});
    apps.create(&PostParams::default(), &app(&json!({"spec": {"containers": [proxy]}}), 1)?).await?;
    wait_until("both services have a Deployment", LIMIT, async || {
        let found = deployments(&client, &namespace).await?;
        ensure!(found.len() == 2 && found.iter().all(|(_, replicas)| *replicas == 1), "{found:?}");
        Ok(())
    })
    .await?;

    let misspelt = json!({"spec": {"nodeSelectors": {"disk": "ssd"}, "containers": [proxy]}});
    let changed = serde_json::to_value(app(&misspelt, 3)?)?;
    apps.patch("shop", &PatchParams::apply("test").force(), &Patch::Apply(&changed)).await?;
    wait_until("the mistake is told, and the other service has three replicas", LIMIT, async || {
        let found = deployments(&client, &namespace).await?;
        let replicas =
            |start: &str| found.iter().find(|(name, _)| name.starts_with(start)).map(|(_, count)| *count);
        ensure!(replicas("shop-api-") == Some(3) && replicas("shop-web-") == Some(1), "{found:?}");
        let status = apps.get("shop").await?.status.context("no status")?;
        let ready = status.conditions.iter().find(|one| one.type_ == "Ready").context("no Ready")?;
        ensure!(
            ready.reason == "InvalidSpec" && ready.message.contains("podTemplate.spec.nodeSelectors"),
            "{ready:?}"
        );
        ensure!(ready.message.contains("did you mean nodeSelector?"), "{}", ready.message);
        Ok(())
    })
    .await?;
    arena.end().await
}
