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
        let load = world.scale_out_by_load(Duration::ZERO, "150s@30").await?;
        let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
        let old: Vec<String> = world.web_pods().await?.iter().map(ResourceExt::name_any).collect();
        let replaced = Instant::now();
        for pod in &old {
            pods.delete(pod, &DeleteParams::default()).await?;
        }
        wait_until("three new pods are ready, and no other is left", Duration::from_secs(60), async || {
            for pod in &old {
                ensure!(pods.get_opt(pod).await?.is_none(), "pod {pod} is still there");
            }
            world.has_ready(3).await
        })
        .await?;
        // An old pod that is still there has seen the whole window, and the load that ends.
        load.kill().await?;
        wait_until("the hold is named", Duration::from_secs(60), async || {
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
