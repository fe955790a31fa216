//! The same fleet with a fault of Prometheus.

use std::time::Duration;

use anyhow::Result;
use scalableapp_e2e::fleet::{AT_REST, Arm, Fleet, PER_REPLICA};
use scalableapp_e2e::prometheus_stub::Trouble;
use tokio::time::sleep;

use crate::{REACTING, SETTLE, SPREAD, WANTED};

/// The replicas of every app at the start of the outage.
const AT_PEAK: i32 = 3;

/// An outage of Prometheus at peak, and its recovery.
pub(crate) async fn outage(mut fleet: Fleet, arm: Arm, duration: Duration) -> Result<()> {
    let apps = fleet.apps.clone();
    fleet.change(&apps, f64::from(AT_PEAK) * PER_REPLICA, AT_PEAK, SPREAD).await?;
    sleep(SETTLE).await;
    let outage = fleet.outage(duration, SPREAD).await?;
    println!(
        "{}, {} apps of {AT_PEAK} replicas, Prometheus gone for {} s: {} apps lost a replica; queries in {} s: {} before \
         (busiest second {}), {} after its return (busiest second {}); writes of the operator: {} while it was gone, {} \
         after its return, {} in the busiest second",
        arm.name(),
        apps.len(),
        duration.as_secs(),
        outage.fell,
        SPREAD.as_secs(),
        outage.asked_before.count,
        outage.asked_before.busiest_second,
        outage.asked_after.count,
        outage.asked_after.busiest_second,
        outage.writes_during,
        outage.writes_after,
        outage.busiest_second,
    );
    Ok(())
}

/// Failing and slow queries, compared with the same fleet without the fault.
pub(crate) async fn errors(fleet: Fleet, arm: Arm) -> Result<()> {
    sleep(SETTLE).await;
    let trouble = Trouble { delay: Duration::from_millis(200), failing: 0.05 };
    for (name, trouble) in [("all well", Trouble::default()), ("5 % HTTP 500 and 200 ms", trouble)] {
        fleet.prometheus.set_trouble(trouble);
        sleep(SETTLE).await;
        react(&fleet, arm, name).await?;
    }
    Ok(())
}

/// One app's query returns far too many series; the effect on the others, before and after.
pub(crate) async fn flood(mut fleet: Fleet, arm: Arm) -> Result<()> {
    sleep(SETTLE).await;
    react(&fleet, arm, "all well").await?;
    let before = fleet.rest(SETTLE).await?;
    let flooding = fleet.apps.remove(0);
    fleet.prometheus.flood(&flooding);
    sleep(SETTLE).await;
    react(&fleet, arm, "one app's query returns 100,000 series").await?;
    let after = fleet.rest(SETTLE).await?;
    println!(
        "{}: operator {:.3} cores before, {:.3} with the flood; {:.1} MiB before, {:.1} with it",
        arm.name(),
        before.operator_cores,
        after.operator_cores,
        before.operator_mib.0,
        after.operator_mib.0
    );
    Ok(())
}

async fn react(fleet: &Fleet, arm: Arm, what: &str) -> Result<()> {
    let some = fleet.some(REACTING);
    let out = fleet.change(&some, f64::from(WANTED) * PER_REPLICA, WANTED, SPREAD).await?;
    let back = fleet.change(&some, AT_REST, 1, SPREAD).await?;
    println!(
        "{}, {} apps, {what}: metric set -> first change {} s, -> {WANTED} replicas {} s, back to 1 {} s (p50 / p95 / max)",
        arm.name(),
        fleet.apps.len(),
        out.first,
        out.arrived,
        back.arrived
    );
    Ok(())
}
