//! A good version gets a part of the requests, is proven to be as good as the stable one, and takes over. The stable
//! revision keeps all of its pods until then, and no request is lost.

use anyhow::{Context, Result, ensure};
use scalableapp_crds::RolloutPhase;
use scalableapp_e2e::world::{World, wait_until};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn canary_promotes() -> Result<()> {
    World::apart("canary_promotes", async |world| {
        world.start_payments().await?;
        let _operator = world.own_operator().await?;
        let mut app = world.shop_with_canary("payments")?;
        world.apply_app(&app).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let first = world.rollout_is(RolloutPhase::Complete, 0).await?;
        let load = world.load_web("/wait?ms=5", "120s@90").await?;
        tokio::time::sleep(Duration::from_secs(20)).await;

        let begun = Instant::now();
        let env = app["spec"]["services"][0]["env"].as_array_mut().context("no variables")?;
        env.push(json!({"name": "VERSION", "value": "2"}));
        world.apply_app(&app).await?;
        for (step, pods) in [(1, 3), (2, 6)] {
            let rollout = wait_until("the step begins", Duration::from_secs(90), async || {
                let rollout = world.rollout_is(RolloutPhase::Progressing, step).await?;
                ensure!(
                    world.replicas_of_revision(&rollout.stable).await? == 6,
                    "the stable revision shrinks"
                );
                ensure!(world.replicas_of_revision(&rollout.canary).await? == pods, "{rollout:?}");
                Ok(rollout)
            })
            .await?;
            ensure!(rollout.stable == first.stable, "{rollout:?}");
            println!("canary_promotes: step {step} after {:.1} s", begun.elapsed().as_secs_f64());
        }
        let last = wait_until("the canary takes over", Duration::from_secs(120), async || {
            let rollout = world.rollout_is(RolloutPhase::Complete, 0).await?;
            ensure!(rollout.stable != first.stable, "{rollout:?}");
            world.is_up().await?;
            ensure!(world.web().await?.revisions.len() == 1, "the old revision is still there");
            Ok(rollout)
        })
        .await?;
        println!(
            "canary_promotes: revision {} instead of {} after {:.1} s",
            last.stable,
            first.stable,
            begun.elapsed().as_secs_f64()
        );
        let report = load.finish().await?;
        println!("canary_promotes: {} of {} requests failed", report.failed.total(), report.sent);
        ensure!(report.failed.total() == 0, "{report:?}");
        Ok(())
    })
    .await
}
