//! A cache and a database are renamed under load: the old ones stay until no pod of an earlier revision uses them, no request
//! fails, and then they are gone.

use super::stack::{STACK_UP, component_is_ready, stack};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use scalableapp_e2e::world::{Server, World, wait_until};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

async fn stateful_sets(world: &World) -> Result<BTreeSet<String>> {
    let sets: Api<StatefulSet> = Api::namespaced(world.client(), world.namespace());
    let of_apps = ListParams::default().labels("scalableapp.dev/app");
    Ok(sets.list(&of_apps).await?.items.into_iter().filter_map(|set| set.metadata.name).collect())
}

/// Revisions of `web` that have pods.
async fn revisions(world: &World) -> Result<BTreeSet<String>> {
    let pods = world.pods_of("web").await?;
    let label = |pod: Pod| pod.metadata.labels?.remove("scalableapp.dev/revision");
    Ok(pods.into_iter().filter_map(label).collect())
}

fn names(names: [&str; 2]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test]
async fn renamed_tiers_stay_until_unused() -> Result<()> {
    World::run("renamed_tiers_stay_until_unused", async |world| {
        world.start_servers(&[Server::Payments]).await?;
        let mut app = stack(world)?;
        world.apply_app(&app).await?;
        wait_until("the stack is up", STACK_UP, async || world.is_up().await).await?;
        let order = world.stock_shop().await?;
        let product = &order["items"][0]["product"];
        let url = format!("http://shop-web.{}.svc:8080/products/{product}", world.namespace());
        let old = names(["shop-main", "shop-sessions"]);
        ensure!(stateful_sets(world).await? == old);

        // A new revision that cannot start: nothing may go for it.
        let image = app["spec"]["image"].clone();
        app["spec"]["caches"][0]["name"] = json!("hot");
        app["spec"]["databases"][0]["name"] = json!("store");
        app["spec"]["image"] = json!("localhost/no-such-image:1");
        let load = world.start_load("load", &url, "60s@20").await?;
        world.apply_app(&app).await?;
        component_is_ready(world, "hot", 2).await?;
        component_is_ready(world, "store", 1).await?;
        tokio::time::sleep(Duration::from_secs(15)).await;
        let all = &old | &names(["shop-hot", "shop-store"]);
        let sets = stateful_sets(world).await?;
        ensure!(sets == all, "{sets:?}");

        app["spec"]["image"] = image;
        let env = app["spec"]["services"][0]["env"].as_array_mut().context("no variables")?;
        env.push(json!({"name": "DATABASE_MAIN_URL", "value": "$(DATABASE_STORE_URL)"}));
        world.apply_app(&app).await?;
        wait_until("the old tiers are gone", Duration::from_secs(120), async || {
            let (revisions, sets) = (revisions(world).await?, stateful_sets(world).await?);
            ensure!(revisions.len() == 1 || old.is_subset(&sets), "{revisions:?} run without {sets:?}");
            ensure!(sets == names(["shop-hot", "shop-store"]), "{sets:?}");
            Ok(())
        })
        .await?;
        wait_until("the stack is up", STACK_UP, async || world.is_up().await).await?;
        let report = load.finish().await?;
        println!("renamed_tiers_stay_until_unused: {report:?}");
        ensure!(report.failed.total() == 0, "{report:?}");
        Ok(())
    })
    .await
}
