//! At rest the operator writes its Lease and nothing else, whether the app idles or has noisy load inside the tolerance.

use anyhow::{Result, ensure};
use scalableapp_e2e::world::{Mutation, World, wait_until};
use std::time::Duration;

/// The operator of the chart, as the API server knows it.
const OPERATOR: &str = "system:serviceaccount:scalableapp-system:scalableapp-operator";
/// How long the operator is watched. `additional` has the tests that watch it for a whole window of stabilization.
const REST: Duration = Duration::from_secs(100);
/// Time between two writes of the Lease.
const RENEWAL: Duration = Duration::from_secs(5);
/// Until an idle app has settled: its first samples, its first decisions.
const SETTLE_IDLE: Duration = Duration::from_secs(30);
/// Until one under load has: the rate's window must be full of this load, and the limit that bound before it is named
/// for a minute more.
const SETTLE_NOISY: Duration = Duration::from_secs(130);

async fn rest(world: &World, rest: Duration) -> Result<()> {
    let mark = world.audit()?.mark()?;
    tokio::time::sleep(rest).await;
    let mutations = world.audit()?.mutations_since(mark)?;
    let of_operator = |mutation: &&Mutation| mutation.user == OPERATOR;
    let lease = mutations.iter().filter(of_operator).filter(|one| one.resource == "leases").count() as u64;
    // Cluster-wide objects would be nobody's, so they count for every app.
    let others: Vec<&Mutation> = mutations
        .iter()
        .filter(of_operator)
        .filter(|one| {
            one.resource != "leases" && (one.namespace.is_empty() || one.namespace == world.namespace())
        })
        .collect();
    println!(
        "at rest for {} s in {}: Lease {lease}, others {}",
        rest.as_secs(),
        world.namespace(),
        others.len()
    );
    ensure!(others.is_empty(), "{others:#?}");
    let renewals = rest.as_secs() / RENEWAL.as_secs();
    let tolerated = renewals.div_ceil(12);
    ensure!(
        (renewals - tolerated..=renewals + tolerated).contains(&lease),
        "{lease} writes of the Lease in {} s at one each {} s",
        rest.as_secs(),
        RENEWAL.as_secs()
    );
    Ok(())
}

#[tokio::test]
async fn at_rest_and_idle_only_the_lease_is_written() -> Result<()> {
    idle("at_rest_idle", REST).await
}

#[tokio::test]
async fn at_rest_under_noisy_load_only_the_lease_is_written() -> Result<()> {
    noisy("at_rest_noisy", REST).await
}

/// Watches the operator for so long while the app idles.
pub(crate) async fn idle(promise: &str, duration: Duration) -> Result<()> {
    World::run(promise, async |world| {
        world.apply_app(&world.shop(2, 4, "10")?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        tokio::time::sleep(SETTLE_IDLE).await;
        rest(world, duration).await
    })
    .await
}

/// Watches the operator for so long while load varies inside the tolerance.
pub(crate) async fn noisy(promise: &str, duration: Duration) -> Result<()> {
    World::run(promise, async |world| {
        world.apply_app(&world.shop(2, 4, "10")?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        // 20 requests per second are exactly two replicas; the tolerance reaches from 18 to 22.
        let noise = ["8s@19", "8s@21", "8s@20", "8s@20.5", "8s@19.5"].join(",");
        let times = (SETTLE_NOISY + duration).as_secs() / 40 + 1;
        let profile = vec![noise; usize::try_from(times)?].join(",");
        let load = world.load_web("/wait?ms=2", &profile).await?;
        tokio::time::sleep(SETTLE_NOISY).await;
        rest(world, duration).await?;
        load.finish().await.map(drop)
    })
    .await
}
