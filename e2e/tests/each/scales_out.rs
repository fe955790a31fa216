//! Load above the target becomes replicas, and the decision says why; made once more from its record it is the same.

use anyhow::{Result, ensure};
use scalableapp_e2e::world::{World, wait_until};
use std::time::Duration;

#[tokio::test]
async fn scales_out() -> Result<()> {
    World::run("scales_out", async |world| {
        world.apply_app(&world.shop(1, 4, "10")?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let load = world.load_web("/wait?ms=5", "160s@35").await?;
        wait_until(
            "35 requests per second at 10 each are four replicas",
            Duration::from_secs(150),
            async || world.has_ready(4).await,
        )
        .await?;
        let decision = world.web().await?.last_decision.unwrap_or_else(|| panic!("no decision was recorded"));
        ensure!(decision.reason == "MetricAboveTarget" && decision.to == 4, "{decision:?}");
        ensure!(
            decision.proposals.iter().any(|one| one.metric == "rps" && one.replicas >= Some(4)),
            "{decision:?}"
        );
        ensure!(decision.stages.len() == 4, "{decision:?}");
        let report = load.finish().await?;
        ensure!(report.failed.total() == 0, "{report:?}");
        let decisions = world.decisions().await?;
        ensure!(
            decisions.iter().any(|one| one.decision.to == 4),
            "{} decisions are on record",
            decisions.len()
        );
        let other = decisions.iter().find(|one| !one.replays());
        ensure!(other.is_none(), "not replayed as it was decided: {other:?}");
        Ok(())
    })
    .await
}
