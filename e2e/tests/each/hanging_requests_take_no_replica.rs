//! While requests hang, as behind a database that does not answer, none ends and none is counted: that zero is no lack
//! of demand.

use anyhow::Result;
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{REQUEST_WINDOW, World, holds_for, wait_until};
use std::time::Duration;

/// For so long the three replicas would stay in any case. It has to be longer than the window of the request rate, so
/// that they are still there when the rate is zero.
const SCALE_DOWN_WINDOW: Duration = REQUEST_WINDOW.saturating_add(Duration::from_secs(25));

#[tokio::test]
async fn hanging_requests_take_no_replica() -> Result<()> {
    World::apart("hanging_requests_take_no_replica", async |world| {
        let _operator = world.own_operator().await?;
        world.scale_out_by_load(SCALE_DOWN_WINDOW, "45s@28").await?.finish().await?;
        let url = format!("http://shop-web.{}.svc:8080/wait?ms=300000", world.namespace());
        let hanging = world.start_hanging("hanging", &url, "5s@2").await?;
        wait_until("the zero is doubted", Duration::from_secs(120), async || {
            world.says("MetricsAvailable", ConditionStatus::False, "ZeroWhileServing").await
        })
        .await?;
        holds_for("there are three replicas", SCALE_DOWN_WINDOW + Duration::from_secs(15), async || {
            world.has_ready(3).await
        })
        .await?;
        hanging.kill().await?;
        wait_until("nothing hangs, and one replica is left", Duration::from_secs(180), async || {
            world.says("MetricsAvailable", ConditionStatus::True, "AllMetricsFresh").await?;
            world.has_replicas(1).await
        })
        .await
    })
    .await
}
