//! An app whose query returns 100,000 series keeps its replicas, and every other app is scaled as if it were not there.

use anyhow::{Result, ensure};
use scalableapp_e2e::fleet::{AT_REST, Arm, Fleet};
use std::time::Instant;

use super::{APPS, SPREAD};

#[tokio::test]
async fn flooding_query_harms_nobody_else() -> Result<()> {
    let mut fleet = Fleet::start(&Fleet::cluster()?, Arm::Custom, APPS).await?;
    let begin = Instant::now();
    let flooding = fleet.apps.remove(0);
    fleet.prometheus.flood(&flooding);
    fleet.change(&fleet.apps, 30.0, 3, SPREAD).await?;
    fleet.change(&fleet.apps, AT_REST, 1, SPREAD).await?;
    ensure!(fleet.replicas.changes_since(&flooding, begin).is_empty(), "the flood was taken for a value");
    fleet.end().await
}
