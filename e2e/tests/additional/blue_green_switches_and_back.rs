//! A new version is seen at the preview Service, gets all requests at once, and loses them again by an abort in the hold,
//! within seconds and without a new pod. Then it is retried and kept. No request is lost all the while.

use anyhow::{Context, Result, ensure};
use hyper::StatusCode;
use kube::ResourceExt;
use scalableapp_crds::{RolloutPhase, RolloutStatus};
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const PREVIEW: &str = "services/shop-web-preview:8080";
const WEB: &str = "services/shop-web:8080";
const SOON: Duration = Duration::from_secs(90);

/// Asks something of the rollout.
async fn ask(world: &World, name: &str, act: &str) -> Result<()> {
    let object = json!({
        "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalingOverride", "metadata": {"name": name},
        "spec": {"app": "shop", "component": "web", "by": "jane", "reason": "a test",
                 "expiresAt": "2099-01-01T00:00:00Z", act: {}},
    });
    world.apply(&object.to_string()).await.map(drop)
}

/// Only the new version answers this path.
async fn is_new(world: &World, target: &str) -> Result<bool> {
    let status = world.get(target, "/").await?.status;
    ensure!([StatusCode::OK, StatusCode::NOT_FOUND].contains(&status), "{target}: {status}");
    Ok(status == StatusCode::OK)
}

/// Twenty requests in a row reach only this version.
async fn serves(world: &World, target: &str, new: bool) -> Result<()> {
    for _ in 0..20 {
        ensure!(is_new(world, target).await? == new, "{target}: another version answers");
    }
    Ok(())
}

async fn step(world: &World, step: i32) -> Result<RolloutStatus> {
    wait_until(&format!("step {step}"), SOON, async || {
        world.rollout_is(RolloutPhase::Progressing, step).await
    })
    .await
}

async fn pods(world: &World) -> Result<BTreeSet<String>> {
    Ok(world.web_pods().await?.iter().map(ResourceExt::name_any).collect())
}

async fn has(world: &World, revisions: [(&str, i32); 2]) -> Result<()> {
    for (hash, replicas) in revisions {
        let found = world.replicas_of_revision(hash).await?;
        ensure!(found == replicas, "revision {hash} has {found} replicas, not {replicas}");
    }
    Ok(())
}

/// Revisions of the stable and of the new version, which has all requests.
async fn switched(world: &World) -> Result<(String, String)> {
    let rollout = step(world, 3).await?;
    let begun = Instant::now();
    ensure!(rollout.active == rollout.canary, "{rollout:?}");
    wait_until("only the new version answers", SOON, async || serves(world, WEB, true).await).await?;
    println!(
        "blue_green_switches_and_back: the new version alone answers {:.1} s after the status says so",
        begun.elapsed().as_secs_f64()
    );
    has(world, [(&rollout.stable, 4), (&rollout.canary, 4)]).await?;
    Ok((rollout.stable, rollout.canary))
}

/// An abort in the hold brings all requests back, without a new pod.
async fn taken_back(world: &World, stable: &str, new: &str) -> Result<()> {
    let before = pods(world).await?;
    let begun = Instant::now();
    ask(world, "back", "abort").await?;
    wait_until("only the stable version answers", SOON, async || serves(world, WEB, false).await).await?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("blue_green_switches_and_back: all requests are back {seconds:.1} s after the abort");
    ensure!(seconds < 30.0, "an abort takes {seconds:.1} s");
    wait_until("the aborted version has no pods", SOON, async || {
        world.rollout_is(RolloutPhase::Aborted, 0).await?;
        has(world, [(stable, 4), (new, 0)]).await
    })
    .await?;
    let after = pods(world).await?;
    ensure!(after.is_subset(&before), "a new pod was needed: {before:?} {after:?}");
    Ok(())
}

/// The new version is tried once more, and kept.
async fn kept(world: &World, stable: &str, new: &str) -> Result<()> {
    ask(world, "again", "retry").await?;
    step(world, 1).await?;
    ask(world, "approve-again", "promote").await?;
    switched(world).await?;
    ask(world, "keep", "promote").await?;
    wait_until("the new version alone is left", SOON, async || {
        let rollout = world.rollout_is(RolloutPhase::Complete, 0).await?;
        ensure!(rollout.stable == new && rollout.active == new, "{rollout:?}");
        has(world, [(stable, 0), (new, 4)]).await
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn blue_green_switches_and_back() -> Result<()> {
    World::apart("blue_green_switches_and_back", async |world| {
        let _operator = world.own_operator().await?;
        let mut app = world.shop(4, 4, "1000")?;
        let web = &mut app["spec"]["services"][0];
        web["args"] = json!(["--modules", "load"]);
        web["rollout"] = json!({"blueGreen": {"previewReplicas": 1, "approval": true, "hold": "60s"}});
        world.apply_app(&app).await?;
        wait_until("the app is up", SOON, async || world.is_up().await).await?;
        wait_until("requests go to one revision", SOON, async || {
            let rollout = world.rollout_is(RolloutPhase::Complete, 0).await?;
            ensure!(rollout.active == rollout.stable && !rollout.active.is_empty(), "{rollout:?}");
            Ok(())
        })
        .await?;
        let load = world.load_web("/wait?ms=5", "240s@80").await?;
        tokio::time::sleep(Duration::from_secs(5)).await;

        app["spec"]["services"][0]["args"] = json!(["--modules", "load,welcome"]);
        world.apply_app(&app).await?;
        let preview = step(world, 1).await?;
        wait_until("the preview answers", SOON, async || serves(world, PREVIEW, true).await).await?;
        has(world, [(&preview.stable, 4), (&preview.canary, 1)]).await?;
        holds_for("it waits for the approval", Duration::from_secs(10), async || {
            serves(world, WEB, false).await
        })
        .await?;

        ask(world, "approve", "promote").await?;
        let (stable, new) = switched(world).await?;
        wait_until("there is no preview", SOON, async || {
            let status = world.get(PREVIEW, "/").await?.status;
            ensure!(status == StatusCode::NOT_FOUND, "{status}");
            Ok(())
        })
        .await?;

        taken_back(world, &stable, &new).await?;
        kept(world, &stable, &new).await?;
        let report = load.finish().await.context("the load")?;
        println!(
            "blue_green_switches_and_back: {} of {} requests failed",
            report.failed.total(),
            report.sent
        );
        ensure!(report.failed.total() == 0, "{report:?}");
        Ok(())
    })
    .await
}
