//! However many apps there are, at rest the operator writes its Lease and nothing else.

use anyhow::{Result, ensure};
use scalableapp_e2e::fleet::{Arm, Fleet};
use std::time::Duration;
use tokio::time::sleep;

use super::APPS;

#[tokio::test]
async fn at_rest_only_the_lease_is_written() -> Result<()> {
    for arm in [Arm::Templates, Arm::Custom] {
        let fleet = Fleet::start(&Fleet::cluster()?, arm, APPS).await?;
        sleep(Duration::from_secs(30)).await;
        let rest = fleet.rest(Duration::from_secs(60)).await?;
        ensure!(rest.other_writes == 0 && rest.lease_writes > 0, "{rest:?}");
        if arm == Arm::Templates {
            ensure!(rest.queries < 2.0, "queries grow with the apps: {rest:?}");
        }
        fleet.end().await?;
    }
    Ok(())
}
