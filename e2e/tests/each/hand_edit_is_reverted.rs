//! What somebody changes on a child by hand is undone and said; a child that is deleted comes back as it was.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::json;
use std::time::Duration;

/// An event says that an edit of this child was undone, and whose.
async fn says(world: &World, child: &str) -> Result<()> {
    wait_until(&format!("an event names {child}"), Duration::from_secs(30), async || {
        let events: Api<Event> = Api::namespaced(world.client(), world.namespace());
        let events = events.list(&ListParams::default()).await?.items;
        let names = |event: &Event| {
            event.reason.as_deref() == Some("ChildReverted")
                && event
                    .note
                    .as_deref()
                    .is_some_and(|note| note.starts_with(&format!("{child}field manager ")))
        };
        ensure!(events.iter().any(names), "no such event");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn hand_edit_is_reverted() -> Result<()> {
    World::run("hand_edit_is_reverted", async |world| {
        world.apply_app(&world.shop(2, 2, "1000")?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let deployments: Api<Deployment> = Api::namespaced(world.client(), world.namespace());
        let name = world.deployments().await?.first().context("no Deployment")?.name_any();

        // A field that the operator owns, and a container that it has never heard of.
        let edit = json!({"spec": {"template": {"spec": {
            "terminationGracePeriodSeconds": 7,
            "nodeSelector": {"by": "hand"},
        }}}});
        deployments.patch(&name, &PatchParams::default(), &Patch::Strategic(&edit)).await?;
        wait_until("the edit is undone", Duration::from_secs(30), async || {
            let spec =
                deployments.get(&name).await?.spec.context("no spec")?.template.spec.context("no pod")?;
            ensure!(spec.node_selector.is_none(), "{:?}", spec.node_selector);
            ensure!(spec.termination_grace_period_seconds != Some(7), "the grace period is still 7 s");
            Ok(())
        })
        .await?;
        says(world, &format!("Deployment {name}: ")).await?;

        let services: Api<Service> = Api::namespaced(world.client(), world.namespace());
        let edit = json!({"spec": {"selector": {"by": "hand"}}});
        services.patch("shop-web", &PatchParams::default(), &Patch::Merge(edit)).await?;
        wait_until("the selector is as before", Duration::from_secs(30), async || {
            let selector = services.get("shop-web").await?.spec.context("no spec")?.selector;
            ensure!(selector.as_ref().is_some_and(|one| !one.contains_key("by")), "{selector:?}");
            Ok(())
        })
        .await?;
        says(world, "Service shop-web: ").await?;

        deployments
            .patch(&name, &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 5}})))
            .await?;
        wait_until("the replicas are two again", Duration::from_secs(30), async || {
            ensure!(world.replicas().await? == 2, "{} replicas", world.replicas().await?);
            Ok(())
        })
        .await?;

        // Two stay for a while because two were asked for until now.
        world.apply_app(&world.shop(1, 2, "1000")?).await?;
        wait_until("the app is up", Duration::from_secs(30), async || world.is_up().await).await?;
        services.delete("shop-web", &DeleteParams::default()).await?;
        deployments.delete(&name, &DeleteParams::background()).await?;
        wait_until("Service and Deployment are back", Duration::from_secs(60), async || {
            services.get("shop-web").await?;
            ensure!(world.replicas().await? == 2, "{} replicas", world.replicas().await?);
            world.is_up().await
        })
        .await
    })
    .await
}
