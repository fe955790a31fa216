//! Pods meet the restricted Pod Security Standard, have no token, and end gracefully.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::Api;
use scalableapp_e2e::world::{World, wait_until};
use std::time::Duration;

#[tokio::test]
async fn pods_are_restricted() -> Result<()> {
    World::run("pods_are_restricted", async |world| {
        // The namespace enforces `restricted`, so that a pod that runs is one that the API server let through.
        world.apply_app(&world.example("examples/podtemplate.yaml")?).await.context("podtemplate.yaml")?;
        world.apply_app(&world.shop(1, 1, "1000")?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let pod = world.web_pods().await?.into_iter().next().context("no pod")?;
        let spec = pod.spec.context("no spec")?;
        ensure!(spec.automount_service_account_token == Some(false), "a token is mounted");
        ensure!(spec.service_account_name.as_deref() == Some("shop-web"), "{:?}", spec.service_account_name);
        ensure!(spec.topology_spread_constraints.is_some(), "no topology spread");
        let container = spec.containers.first().context("no container")?;
        let pre_stop = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        ensure!(pre_stop.is_some_and(|hook| hook.sleep.is_some()), "{:?}", container.lifecycle);
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(world.client(), world.namespace());
        budgets.get("shop-web").await?;
        Ok(())
    })
    .await
}
