//! A new version takes over pod by pod, in a Deployment of its own, and no request is lost on the way.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use scalableapp_e2e::world::{World, wait_until};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

fn names(pods: &[Pod]) -> BTreeSet<String> {
    pods.iter().map(ResourceExt::name_any).collect()
}

#[tokio::test]
async fn image_change_loses_no_request() -> Result<()> {
    World::run("image_change_loses_no_request", async |world| {
        let mut app = world.shop(2, 2, "1000")?;
        world.apply_app(&app).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let before = names(&world.web_pods().await?);
        let load = world.load_web("/wait?ms=20", "75s@40").await?;
        tokio::time::sleep(Duration::from_secs(5)).await;

        // Another name of the same image is another version to Kubernetes and to the operator; here an added variable.
        app["spec"]["services"][0]["env"] = json!([{"name": "VERSION", "value": "2"}]);
        world.apply_app(&app).await?;
        wait_until("only the new revision has pods", Duration::from_secs(60), async || {
            world.is_up().await?;
            let web = world.web().await?;
            ensure!(web.revisions.len() == 1 && web.ready == 2, "{web:?}");
            ensure!(world.deployments().await?.len() == 1, "the old Deployment is still there");
            Ok(())
        })
        .await?;
        let after = names(&world.web_pods().await?);
        ensure!(after.is_disjoint(&before), "{before:?} {after:?}");
        let report = load.finish().await?;
        println!(
            "image_change_loses_no_request: {} of {} requests failed",
            report.failed.total(),
            report.sent
        );
        ensure!(report.failed.total() == 0 && report.ok == report.sent, "{report:?}");
        Ok(())
    })
    .await
}
