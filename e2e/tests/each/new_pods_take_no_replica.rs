//! Where all pods are new, what the earlier ones were asked for within the window of the request rate is not known: until
//! it is over nothing scales in.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use scalableapp_e2e::world::{REQUEST_WINDOW, World, wait_until};
use std::time::{Duration, Instant};

#[tokio::test]
async fn new_pods_take_no_replica() -> Result<()> {
    World::apart("new_pods_take_no_replica", async |world| {
        let _operator = world.own_operator().await?;
        let load = world.scale_out_by_load(Duration::ZERO, "150s@28").await?;
        let replaced = Instant::now();
        let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
        for pod in world.web_pods().await? {
            pods.delete(&pod.name_any(), &DeleteParams::default()).await?;
        }
        load.kill().await?;
        wait_until("three new pods are ready, and the hold is named", Duration::from_secs(60), async || {
            world.has_ready(3).await?;
            let web = world.web().await?;
            ensure!(web.limited_by.contains("WindowIncomplete"), "{web:?}");
            Ok(())
        })
        .await?;
        wait_until("one replica is left", REQUEST_WINDOW * 4, async || world.has_replicas(1).await).await?;
        let held = replaced.elapsed();
        ensure!(held > REQUEST_WINDOW, "replicas went after {held:?}");
        Ok(())
    })
    .await
}
