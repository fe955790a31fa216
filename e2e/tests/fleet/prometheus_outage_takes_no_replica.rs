//! Prometheus goes while every app has more than its least replicas: none of them goes, and when it is back scaling goes
//! on.

use anyhow::{Result, ensure};
use scalableapp_e2e::fleet::{AT_REST, Arm, Fleet};
use std::time::Duration;

use super::{APPS, SPREAD};

/// Longer than the age up to which samples are fresh, so that every metric is missed.
const GONE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn prometheus_outage_takes_no_replica() -> Result<()> {
    for arm in [Arm::Templates, Arm::Custom] {
        let mut fleet = Fleet::start(&Fleet::cluster()?, arm, APPS).await?;
        fleet.change(&fleet.apps, 30.0, 3, SPREAD).await?;
        let outage = fleet.outage(GONE, Duration::from_secs(30)).await?;
        println!("prometheus_outage_takes_no_replica: {}: {outage:?}", arm.name());
        ensure!(outage.fell == 0, "{outage:?}");
        ensure!(outage.asked_after.count > 0, "nobody asks a Prometheus that is back: {outage:?}");
        fleet.change(&fleet.apps, AT_REST, 1, SPREAD).await?;
        fleet.end().await?;
    }
    Ok(())
}
