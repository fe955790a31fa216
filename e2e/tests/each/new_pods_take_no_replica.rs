//! Where all pods are new, what the earlier ones were asked for within the window of the request rate is not known: until
//! it is over nothing scales in.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use scalableapp_e2e::world::{World, wait_until};
use std::time::{Duration, Instant};

/// Window of the request rate, as the chart sets it.
const WINDOW: Duration = Duration::from_secs(60);

#[tokio::test]
async fn new_pods_take_no_replica() -> Result<()> {
    World::run("new_pods", async |world| {
        world.scale_out_by_load(Duration::ZERO).await?;
        let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
        for pod in world.web_pods().await? {
            pods.delete(&pod.name_any(), &DeleteParams::default()).await?;
        }
        wait_until("three new pods are ready, and the hold is named", Duration::from_secs(60), async || {
            world.has_ready(3).await?;
            let web = world.web().await?;
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
