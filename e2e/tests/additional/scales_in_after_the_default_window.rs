//! When the load ends replicas go, with HPA's default of 300 s of stabilization, and no request is lost on the way.

use anyhow::Result;
use scalableapp_e2e::world::World;

use crate::each::scales_in::after_load;

#[tokio::test]
async fn scales_in_after_the_default_window() -> Result<()> {
    World::run("scales_in_for_long", async |world| after_load(world, None, "60s@25,370s@4").await).await
}
