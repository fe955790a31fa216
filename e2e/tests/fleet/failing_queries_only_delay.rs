//! With 5 % of the queries failing, and all of them slow, every app still gets the replicas that it needs, and none of
//! those that rest is touched.

use anyhow::{Result, ensure};
use scalableapp_e2e::fleet::{AT_REST, Arm, Fleet};
use scalableapp_e2e::prometheus_stub::Trouble;
use std::time::{Duration, Instant};

use super::{APPS, SPREAD};

#[tokio::test]
async fn failing_queries_only_delay() -> Result<()> {
    for arm in [Arm::Templates, Arm::Custom] {
        let fleet = Fleet::start(&Fleet::cluster()?, arm, APPS).await?;
        fleet.prometheus.set_trouble(Trouble { delay: Duration::from_millis(200), failing: 0.05 });
        let begin = Instant::now();
        let some = fleet.some(APPS / 2);
        fleet.change(&some, 50.0, 5, SPREAD).await?;
        ensure!(fleet.replicas.fell_since(begin) == 0, "a failing query took a replica");
        let resting = fleet.apps.iter().filter(|app| !some.contains(app));
        let moved = resting.filter(|app| !fleet.replicas.changes_since(app, begin).is_empty()).count();
        ensure!(moved == 0, "{moved} apps at rest were scaled");
        fleet.change(&some, AT_REST, 1, SPREAD).await?;
        fleet.end().await?;
    }
    Ok(())
}
