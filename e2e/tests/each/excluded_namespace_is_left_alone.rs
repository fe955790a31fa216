//! An app of a namespace that the cluster's operator excludes waits for the operator that watches this namespace.

use anyhow::{Context, Result, ensure};
use scalableapp_e2e::operator::LocalOperator;
use scalableapp_e2e::world::{World, holds_for, wait_until};
use std::time::Duration;

/// No metric is read in this test.
const NO_PROMETHEUS: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn excluded_namespace_is_left_alone() -> Result<()> {
    World::apart("excluded_namespace_is_left_alone", async |world| {
        world.apply_app(&world.shop(1, 1, "1000")?).await?;
        holds_for("nobody operates the app", Duration::from_secs(15), async || {
            ensure!(world.deployments().await?.is_empty(), "it has a Deployment");
            let status = world.apps().get("shop").await?.status;
            ensure!(status.is_none_or(|status| status.conditions.is_empty()), "it has conditions");
            Ok(())
        })
        .await?;
        let directory = tempfile::tempdir()?;
        let kubeconfig = std::env::var_os("KUBECONFIG").context("set KUBECONFIG to the cluster's")?;
        let namespace = world.namespace();
        let watched = ["--namespaces", namespace];
        let home = directory.path();
        let operator =
            LocalOperator::start("other", kubeconfig.as_ref(), namespace, NO_PROMETHEUS, home, &watched)?;
        let up = wait_until("the app is up", Duration::from_secs(60), async || world.is_up().await).await;
        up.with_context(|| operator.log())
    })
    .await
}
