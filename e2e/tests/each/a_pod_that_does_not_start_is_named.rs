//! What keeps a pod from starting is named with pod, container and revision: an init container that fails, a ConfigMap
//! that is missing, a probe that is answered with 404.

use anyhow::{Context, Result, ensure};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// The operator waits half a minute before it speaks of a pod that is only late.
const SOON: Duration = Duration::from_secs(55);

/// An app of one pod, changed so that it does not start.
async fn apply(world: &World, name: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
    let mut app = world.shop(1, 1, "1000")?;
    app["metadata"]["name"] = json!(name);
    change(&mut app["spec"]["services"][0]);
    world.apply_app(&app).await
}

async fn is_named(world: &World, name: &str, reason: &str, words: &str) -> Result<()> {
    wait_until(&format!("{name} says {reason}"), SOON, async || {
        let status = world.apps().get(name).await?.status.context("no status yet")?;
        let ready = status.conditions.iter().find(|one| one.type_ == "Ready").context("no condition yet")?;
        ensure!(ready.reason == reason && ready.message.contains(words), "{ready:?}");
        let revision = &status.components[0].revisions[0].hash;
        let pod = format!("web: pod {name}-web-");
        ensure!(ready.message.starts_with(&pod) && ready.message.contains(revision), "{ready:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_that_does_not_start_is_named() -> Result<()> {
    World::run("a_pod_that_does_not_start_is_named", async |world| {
        let image = &world.images().app;
        apply(world, "init", |service| {
            let migrate = json!({"name": "migrate", "image": image, "args": ["--no-such-flag"]});
            service["podTemplate"] = json!({"spec": {"initContainers": [migrate]}});
        })
        .await?;
        apply(world, "config", |service| {
            let volume = json!({"name": "settings", "configMap": {"name": "missing"}});
            let mount = json!({"name": "settings", "mountPath": "/settings"});
            let web = json!({"name": "web", "volumeMounts": [mount]});
            service["podTemplate"] = json!({"spec": {"containers": [web], "volumes": [volume]}});
        })
        .await?;
        apply(world, "probe", |service| {
            let probe = json!({"httpGet": {"path": "/no-such-path"}});
            service["probes"] = json!({"readiness": probe});
        })
        .await?;
        is_named(world, "init", "InitContainerNotDone", "init container migrate fails with exit code")
            .await?;
        is_named(world, "config", "ContainerCreating", "check that ConfigMap missing exist").await?;
        is_named(world, "probe", "ProbeFails", "(GET /no-such-path on port 8080) does not succeed").await
    })
    .await
}
