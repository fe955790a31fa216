//! An app that is deleted while it scales takes everything with it, and nothing comes back.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams};
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn app_deleted_mid_scale() -> Result<()> {
    World::run("app_deleted_mid_scale", async |world| {
        let mut app = world.shop(1, 1, "1000")?;
        world.apply_app(&app).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        app["spec"]["services"][0]["scaling"]["minReplicas"] = json!(4);
        app["spec"]["services"][0]["scaling"]["maxReplicas"] = json!(4);
        world.apply_app(&app).await?;
        world.apps().delete("shop", &DeleteParams::background()).await?;
        let gone = async || {
            let ours = ListParams::default().labels("scalableapp.dev/app=shop");
            let services: Api<Service> = Api::namespaced(world.client(), world.namespace());
            let accounts: Api<ServiceAccount> = Api::namespaced(world.client(), world.namespace());
            let left = [
                world.deployments().await?.len(),
                world.web_pods().await?.len(),
                services.list(&ours).await?.items.len(),
                accounts.list(&ours).await?.items.len(),
            ];
            ensure!(left == [0; 4], "Deployments, pods, Services, ServiceAccounts left: {left:?}");
            Ok(())
        };
        wait_until("everything is gone", Duration::from_secs(90), gone).await?;
        holds_for("nothing comes back", Duration::from_secs(12), gone).await
    })
    .await
}
