//! An image that cannot be pulled is named in a condition, and the version before it goes on serving.

use anyhow::{Result, ensure};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{World, wait_until};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn bad_image_is_named() -> Result<()> {
    World::run("bad_image_is_named", async |world| {
        let mut app = world.shop(2, 2, "1000")?;
        world.apply_app(&app).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        app["spec"]["image"] = json!("localhost/no-such-image:1");
        world.apply_app(&app).await?;
        let condition = wait_until("the image is named", Duration::from_secs(60), async || {
            world.says("Ready", ConditionStatus::False, "ImagePullFailed").await
        })
        .await?;
        ensure!(condition.message.contains("localhost/no-such-image:1"), "{condition:?}");
        let web = world.web().await?;
        ensure!(web.ready == 2, "the old version lost a pod: {web:?}");
        app["spec"]["image"] = json!(world.images().app);
        world.apply_app(&app).await?;
        wait_until("the good image is back", Duration::from_secs(60), async || world.is_up().await).await
    })
    .await
}
