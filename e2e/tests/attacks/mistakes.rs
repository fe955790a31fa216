//! A mistake in one component's spec is told with its path, and stops no other component.

use super::arena::Arena;
use super::tenant::{PATIENCE, Tenant};
use anyhow::{Context, Result, ensure};
use kube::Client;
use scalableapp_e2e::world::wait_until;
use serde_json::{Value, json};

/// Two services, the first with this podTemplate and the other with so many replicas. Numbers have no quotes, as
/// Kubernetes takes them.
fn spec(template: &Value, replicas: i32) -> Value {
    let scaling = json!({"minReplicas": replicas, "maxReplicas": replicas});
    json!({"image": "shop:1", "services": [
        {"name": "web", "port": 80, "resources": {"requests": {"cpu": 0.5}}, "podTemplate": template},
        {"name": "api", "port": 80, "scaling": scaling},
    ]})
}

#[tokio::test]
async fn one_mistake_stops_one_component_and_is_told_with_its_path() -> Result<()> {
    let client = Client::try_default().await?;
    let mut arena = Arena::start(client.clone(), &[]).await?;
    let tenant = Tenant::new(client, arena.tenant().await?);
    arena.leads().await?;
    let proxy = json!({"name": "proxy", "image": "proxy:1", "resources": {"limits": {"cpu": 0.5}}});
    tenant.apply("shop", &spec(&json!({"spec": {"containers": [proxy]}}), 1)).await?;
    tenant.is_ready("shop").await?;

    let misspelt = json!({"spec": {"nodeSelectors": {"disk": "ssd"}, "containers": [proxy]}});
    tenant.apply("shop", &spec(&misspelt, 3)).await?;
    wait_until("the mistake is told, and the other service has three replicas", PATIENCE, async || {
        let (web, api) = (tenant.replicas("web").await?, tenant.replicas("api").await?);
        ensure!((web.as_slice(), api.as_slice()) == (&[1], &[3]), "{web:?} {api:?}");
        let ready = tenant.ready("shop").await?;
        let says = |words: &str| ready.reason == "InvalidSpec" && ready.message.contains(words);
        let path = "services[web].podTemplate.spec.nodeSelectors";
        ensure!(says(path) && says("did you mean nodeSelector?"), "{ready:?}");
        Ok(())
    })
    .await
    .with_context(|| format!("the operator says: {}", arena.operator.log()))?;
    arena.end().await
}
