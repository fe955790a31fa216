//! A quota that refuses pods is named in a condition, in the API server's own words.

use anyhow::{Result, ensure};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{World, wait_until};
use std::time::Duration;

const QUOTA: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: {name: small}
spec: {hard: {pods: '1'}}
";

#[tokio::test]
async fn quota_is_named() -> Result<()> {
    World::run("quota_is_named", async |world| {
        world.apply(QUOTA).await?;
        world.apply_app(&world.shop(2, 2, "1000")?).await?;
        let condition = wait_until("the quota is named", Duration::from_secs(60), async || {
            world.says("Ready", ConditionStatus::False, "PodsRefused").await
        })
        .await?;
        ensure!(condition.message.contains("exceeded quota: small"), "{condition:?}");
        Ok(())
    })
    .await
}
