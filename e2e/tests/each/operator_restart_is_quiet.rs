//! A restart of the operator changes no replica and restarts no pod, and its first decision is the one before it.

use anyhow::{Result, ensure};
use kube::ResourceExt;
use scalableapp_e2e::world::{Program, World, holds_for, wait_until};
use std::time::Duration;

#[tokio::test]
async fn operator_restart_is_quiet() -> Result<()> {
    World::apart("operator_restart_is_quiet", async |world| {
        let operator = world.own_operator().await?;
        world.apply_app(&world.shop(1, 4, "10")?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let load = world.load_web("/wait?ms=5", "120s@28").await?;
        wait_until("the load is three replicas", Duration::from_secs(90), async || world.has_ready(3).await)
            .await?;
        let pods = async || -> Result<Vec<String>> {
            let mut names: Vec<String> = world.web_pods().await?.iter().map(ResourceExt::name_any).collect();
            names.sort();
            Ok(names)
        };
        let before = pods().await?;
        let generations = async || -> Result<Vec<Option<i64>>> {
            Ok(world.deployments().await?.iter().map(|one| one.metadata.generation).collect())
        };
        let generation = generations().await?;
        let crashed = operator.leader().await?;
        operator.crash().await?;
        operator.scale(Program::Operator, 1).await?;
        // Long enough for the lease of the crashed one to run out and for several decisions of the new one.
        holds_for("pods and Deployments stay as they were", Duration::from_secs(40), async || {
            let now = pods().await?;
            ensure!(now == before, "{before:?} became {now:?}");
            ensure!(generations().await? == generation, "a Deployment's spec was changed");
            Ok(())
        })
        .await?;
        ensure!(operator.leader().await? != crashed, "the crashed {crashed} still leads");
        let desired = operator.desired("web").await?;
        ensure!(desired == 3, "the new one decides on {desired}");
        world.is_up().await?;
        let report = load.finish().await?;
        ensure!(report.failed.total() == 0, "{report:?}");
        Ok(())
    })
    .await
}
