//! Of two operators one writes. One that is frozen between its check of the lease and its write wakes up too late: the
//! write is a conflict, and changes nothing.

use anyhow::{Context, Result, ensure};
use axum::http::{Method, StatusCode};
use scalableapp_e2e::fault_proxy::FaultProxy;
use scalableapp_e2e::operator::{self, LocalOperator, OPERATOR};
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::json;
use std::time::Duration;

/// No metric is read in this test: decisions follow the spec.
const NO_PROMETHEUS: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn two_operators_at_once() -> Result<()> {
    World::apart("two_operators_at_once", two_operators).await
}

async fn two_operators(world: &World) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (namespace, client) = (world.namespace(), world.client());
    let proxies = [FaultProxy::start(client.clone()).await?, FaultProxy::start(client).await?];
    let leader = async || operator::leader(world.client(), namespace, OPERATOR).await;
    let start = |identity: &str, proxy: &FaultProxy| {
        let home = directory.path().join(identity);
        std::fs::create_dir(&home)?;
        let kubeconfig = proxy.write_kubeconfig(&home)?;
        let more = ["--namespaces", namespace];
        LocalOperator::start(identity, &kubeconfig, namespace, NO_PROMETHEUS, &home, &more)
    };
    let first = start("first", &proxies[0])?;
    wait_until("the first operator leads", Duration::from_secs(30), async || {
        let leader = leader().await?;
        ensure!(leader.starts_with("first"), "{leader} leads");
        Ok(())
    })
    .await?;
    let second = start("second", &proxies[1])?;

    let mut app = world.shop(1, 10, "1000")?;
    world.apply_app(&app).await?;
    wait_until("the app is up", Duration::from_secs(60), async || world.is_up().await).await?;

    // The first operator decides for three, and is frozen with the write under way.
    let held = proxies[0].hold_next(Method::PATCH, "fieldManager=scalableapp-scaler", r#""replicas":3"#);
    app["spec"]["services"][0]["scaling"]["minReplicas"] = json!(3);
    world.apply_app(&app).await?;
    tokio::time::timeout(Duration::from_secs(20), held.arrived())
        .await
        .context("no write of three replicas")?;
    first.freeze()?;
    app["spec"]["services"][0]["scaling"]["minReplicas"] = json!(2);
    world.apply_app(&app).await?;
    wait_until("the second operator has taken over and made it two", Duration::from_secs(60), async || {
        let leader = leader().await?;
        ensure!(leader.starts_with("second"), "{leader} leads: {}", second.log());
        ensure!(world.replicas().await? == 2, "{} replicas", world.replicas().await?);
        Ok(())
    })
    .await?;

    let answer = held.release().await?;
    println!("two_operators_at_once: the late write was answered {}", answer.as_u16());
    ensure!(answer == StatusCode::CONFLICT, "the late write was answered {answer}");
    first.thaw()?;
    holds_for("two replicas stay with both operators awake", Duration::from_secs(15), async || {
        ensure!(world.replicas().await? == 2, "{} replicas: {}", world.replicas().await?, first.log());
        let leader = leader().await?;
        ensure!(leader.starts_with("second"), "{leader} leads");
        Ok(())
    })
    .await
}
