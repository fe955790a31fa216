//! The payment provider hangs, and the circuit breakers open. The status names the provider and the cause, and no pod is added
//! although requests fail and are slow. When it answers again, nothing is said any more.

use super::diagnosis::{bottleneck, is_named, nothing_is_said};
use super::payments::{pay, shop};
use anyhow::{Result, ensure};
use scalableapp_e2e::world::{DIAGNOSIS_WINDOW, World, holds_for, wait_until};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn diagnosis_names_the_dependency() -> Result<()> {
    World::apart("diagnosis_names_the_dependency", async |world| {
        world.start_payments().await?;
        let _operator = world.own_operator().await?;
        world.apply_app(&shop(world)?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let load = pay(world, "load", "1200s@20").await?;
        holds_for("nothing is said while the provider answers", DIAGNOSIS_WINDOW * 6, async || {
            nothing_is_said(world).await
        })
        .await?;
        let replicas = world.replicas().await?;
        world.payments_behave(&json!({"hang": true})).await?;
        let said = is_named(world, ("payments", "DependencyFails"), DIAGNOSIS_WINDOW * 3).await?;
        ensure!(said.advice == "CircuitBreaker", "{said:?}");
        holds_for("no pod is added or removed, and what is said stays", DIAGNOSIS_WINDOW, async || {
            let still = bottleneck(world).await?;
            ensure!(still.as_ref() == Some(&said), "{still:?}");
            world.has_replicas(replicas).await
        })
        .await?;
        world.payments_behave(&json!({})).await?;
        wait_until("nothing is said any more", DIAGNOSIS_WINDOW * 3, async || nothing_is_said(world).await)
            .await?;
        load.kill().await
    })
    .await
}
