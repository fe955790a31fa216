//! Where all pods are new, what the earlier ones were asked for within the window of the request rate is not known: until
//! it is over nothing scales in.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::json;
use std::time::{Duration, Instant};

/// Window of the request rate, as the chart sets it.
const WINDOW: Duration = Duration::from_secs(60);

#[tokio::test]
async fn new_pods_take_no_replica() -> Result<()> {
    World::run("new_pods", async |world| {
        let mut app = world.shop(1, 3, "10")?;
        app["spec"]["services"][0]["scaling"]["behavior"] =
            json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
        world.apply_app(&app).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let load = world.load_web("/wait?ms=5", "75s@28").await?;
        let three = async || {
            let web = world.web().await?;
            ensure!(web.desired == 3 && web.ready == 3, "{web:?}");
            Ok(web)
        };
        wait_until("the load is three ready replicas", Duration::from_secs(90), three).await?;
        load.finish().await?;

        let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
        for pod in world.web_pods().await? {
            pods.delete(&pod.name_any(), &DeleteParams::default()).await?;
        }
        wait_until("three new pods are ready, and the hold is named", Duration::from_secs(60), async || {
            let web = three().await?;
            ensure!(web.limited_by.contains("WindowIncomplete"), "{web:?}");
            Ok(())
        })
        .await?;
        let begun = Instant::now();
        wait_until("one replica is left", WINDOW * 2, async || world.has_replicas(1).await).await?;
        let held = begun.elapsed();
        // Part of the window is over when the status says so: the pods have to be seen and scraped first.
        ensure!(held > WINDOW / 2, "replicas went after {held:?}");
        Ok(())
    })
    .await
}
