//! Replicas, owners and deletion by somebody else's hand, while no metric is known.

use super::arena::Arena;
use super::tenant::{PATIENCE, Tenant};
use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use scalableapp_crds::{ScalableApp, ScalingOverride};
use scalableapp_e2e::world::wait_until;
use serde_json::{Value, json};

/// A service with a metric that Prometheus knows nothing of.
fn blind(min_replicas: i32) -> Value {
    let scaling = json!({
        "minReplicas": min_replicas, "maxReplicas": 9,
        "metrics": [{"name": "rps", "requestRate": {"perReplica": 10}}],
    });
    json!({"image": "shop:1", "services": [{"name": "web", "port": 80, "metricsPort": 9090, "scaling": scaling}]})
}

async fn has_replicas(tenant: &Tenant, replicas: i32) -> Result<()> {
    wait_until(&format!("{replicas} replicas are asked for"), PATIENCE, async || {
        let found = tenant.replicas("web").await?;
        ensure!(found == [replicas], "{found:?}");
        Ok(())
    })
    .await
}

/// Scales the one Deployment of `web` as `kubectl scale` does.
async fn scale_by_hand(tenant: &Tenant, replicas: i32) -> Result<()> {
    let params = PatchParams { field_manager: Some("kubectl".to_owned()), ..PatchParams::default() };
    let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    for deployment in tenant.deployments().await? {
        tenant.api::<Deployment>().patch_scale(&deployment.name_any(), &params, &scale).await?;
    }
    Ok(())
}

async fn tells(tenant: &Tenant, app: &str, reason: &str, words: &str) -> Result<()> {
    wait_until(&format!("an event {reason} says {words}"), PATIENCE, async || {
        let events = tenant.events(app).await?;
        ensure!(events.iter().any(|(of, note)| of == reason && note.contains(words)), "{events:#?}");
        Ok(())
    })
    .await
}

async fn hold(tenant: &Tenant, app: &str) -> Result<()> {
    let one: ScalingOverride = serde_json::from_value(json!({
        "metadata": {"name": format!("{app}-hold")},
        "spec": {"app": app, "hold": {}, "by": "jane", "reason": "a test", "expiresAt": "2199-01-01T00:00:00Z"},
    }))?;
    tenant.api().create(&PostParams::default(), &one).await?;
    Ok(())
}

#[tokio::test]
async fn replicas_that_others_write_are_no_decision() -> Result<()> {
    let client = Client::try_default().await?;
    let mut arena = Arena::start(client.clone(), &[]).await?;
    let tenants =
        [Tenant::new(client.clone(), arena.tenant().await?), Tenant::new(client, arena.tenant().await?)];
    arena.leads().await?;
    let [one, two] = &tenants;
    one.apply("shop", &blind(4)).await?;
    one.is_ready("shop").await?;
    one.apply("shop", &blind(1)).await?;
    one.is_ready("shop").await?;
    has_replicas(one, 4).await?;

    for others in [1, 0] {
        scale_by_hand(one, others).await?;
        has_replicas(one, 4).await?;
    }
    tells(
        one,
        "shop",
        "ScaledByOther",
        "field manager kubectl has set replicas to 1; the last decision was 4",
    )
    .await?;
    hold(one, "shop").await?;
    tells_hold(one).await?;
    scale_by_hand(one, 7).await?;
    has_replicas(one, 4).await?;

    // Replicas that the operator has never written: the API server set the first one.
    two.apply("shop", &blind(1)).await?;
    two.is_ready("shop").await?;
    hold(two, "shop").await?;
    tells_hold(two).await?;
    scale_by_hand(two, 3).await?;
    has_replicas(two, 1).await?;
    tells(two, "shop", "ScaledByOther", "somebody has set replicas to 3; the last decision was 1").await?;
    arena.end().await
}

async fn tells_hold(tenant: &Tenant) -> Result<()> {
    wait_until("the hold is in force", PATIENCE, async || {
        let app = tenant.api::<ScalableApp>().get("shop").await?;
        let limited = app.status.map(|status| status.limited_by).unwrap_or_default();
        ensure!(limited.contains("Held"), "{limited}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_child_that_lost_its_owner_gets_it_back() -> Result<()> {
    let client = Client::try_default().await?;
    let mut arena = Arena::start(client.clone(), &[]).await?;
    let tenant = Tenant::new(client, arena.tenant().await?);
    arena.leads().await?;
    tenant.apply("shop", &blind(2)).await?;
    tenant.is_ready("shop").await?;
    let disowned = Patch::Merge(json!({"metadata": {"ownerReferences": null}}));
    let deployment = tenant.deployments().await?[0].name_any();
    tenant.api::<Deployment>().patch(&deployment, &PatchParams::default(), &disowned).await?;
    tenant.api::<Service>().patch("shop-web", &PatchParams::default(), &disowned).await?;
    wait_until("both have their owner again", PATIENCE, async || {
        let deployment = tenant.api::<Deployment>().get(&deployment).await?;
        let service = tenant.api::<Service>().get("shop-web").await?;
        ensure!(!deployment.owner_references().is_empty() && !service.owner_references().is_empty());
        Ok(())
    })
    .await?;
    has_replicas(&tenant, 2).await?;
    tenant.is_ready("shop").await?;
    tells(&tenant, "shop", "ChildReverted", "Service shop-web").await?;
    arena.end().await
}

#[tokio::test]
async fn an_app_that_is_being_deleted_says_what_it_waits_for() -> Result<()> {
    let client = Client::try_default().await?;
    let mut arena = Arena::start(client.clone(), &[]).await?;
    let tenant = Tenant::new(client, arena.tenant().await?);
    arena.leads().await?;
    tenant.apply("shop", &blind(2)).await?;
    tenant.is_ready("shop").await?;
    let apps = tenant.api::<ScalableApp>();
    let finalizers = |list: Value| Patch::Merge(json!({"metadata": {"finalizers": list}}));
    apps.patch("shop", &PatchParams::default(), &finalizers(json!(["example.com/keep"]))).await?;
    apps.delete("shop", &DeleteParams::default()).await?;
    wait_until("the app says that it is being deleted", PATIENCE, async || {
        let ready = tenant.ready("shop").await?;
        ensure!(ready.reason == "Deleting" && ready.message.contains("example.com/keep"), "{ready:?}");
        Ok(())
    })
    .await?;
    apps.patch("shop", &PatchParams::default(), &finalizers(json!([]))).await?;
    arena.end().await
}
