//! A version that calls a failing provider gets a part of the requests, is proven to be worse, and is taken back. The
//! stable revision has all of its pods all the time, and the bad version is not tried again.

use anyhow::{Result, ensure};
use scalableapp_crds::{ConditionStatus, RolloutPhase};
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn canary_aborts() -> Result<()> {
    World::apart("canary_aborts", async |world| {
        world.start_payments().await?;
        let _operator = world.own_operator().await?;
        let mut app = world.shop_with_canary("payments")?;
        world.apply_app(&app).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let first = world.rollout_is(RolloutPhase::Complete, 0).await?;
        let url = format!("http://shop-web.{}.svc:8080/payments", world.namespace());
        let payment = json!({"amount": 1250, "currency": "EUR"});
        let load = world.start_posts("customers", &url, &payment, "100s@60").await?;
        tokio::time::sleep(Duration::from_secs(20)).await;

        let begun = Instant::now();
        // Nobody listens there.
        app["spec"]["services"][0]["env"][0] = json!({"name": "PAYMENTS_URL", "value": "http://127.0.0.1:9"});
        world.apply_app(&app).await?;
        let bad = wait_until("the canary begins", Duration::from_secs(60), async || {
            world.rollout_is(RolloutPhase::Progressing, 1).await
        })
        .await?;
        let aborted = wait_until("the canary is aborted", Duration::from_secs(90), async || {
            ensure!(world.replicas_of_revision(&first.stable).await? == 6, "the stable revision shrinks");
            world.rollout_is(RolloutPhase::Aborted, 0).await
        })
        .await?;
        let seconds = begun.elapsed().as_secs_f64();
        println!("canary_aborts: aborted {seconds:.1} s after the edit: {}", aborted.message);
        ensure!(aborted.canary == bad.canary && aborted.stable == first.stable, "{aborted:?}");
        world.says("RolloutProgressing", ConditionStatus::False, "CanaryAborted").await?;
        world.says("Stalled", ConditionStatus::True, "CanaryAborted").await?;
        wait_until("no pod of it is left", Duration::from_secs(30), async || {
            ensure!(world.web_pods().await?.len() == 6, "{} pods", world.web_pods().await?.len());
            Ok(())
        })
        .await?;
        holds_for("it is not tried again", Duration::from_secs(15), async || {
            world.rollout_is(RolloutPhase::Aborted, 0).await?;
            ensure!(world.replicas_of_revision(&bad.canary).await? == 0, "it has pods again");
            Ok(())
        })
        .await?;
        let report = load.finish().await?;
        let failed = report.failed.total();
        println!("canary_aborts: {failed} of {} requests failed", report.sent);
        // The canary has a third of the pods, and its pods end ten seconds after the abort at the latest.
        let most = 60.0 * (seconds + 10.0) * 0.4;
        ensure!((failed as f64) < most, "more than a third of the requests failed: {report:?}");
        Ok(())
    })
    .await
}
