//! At rest the operator writes its Lease and nothing else, whether the app idles or has noisy load inside the tolerance.

use anyhow::{Result, ensure};
use scalableapp_e2e::world::{Mutation, World, wait_until};
use std::time::Duration;

/// The operator of the chart, as the API server knows it.
const OPERATOR: &str = "system:serviceaccount:scalableapp-system:scalableapp-operator";
/// How long the operator is watched.
const REST: Duration = Duration::from_secs(300);
/// Until an idle app has settled: its first samples, its first decisions.
const SETTLE_IDLE: Duration = Duration::from_secs(30);
/// Until one under load has: the rate's window must be full of this load, and the limit that bound before it is named
/// for a minute more.
const SETTLE_NOISY: Duration = Duration::from_secs(130);

async fn rest(world: &World) -> Result<()> {
    let mark = world.audit()?.mark()?;
    tokio::time::sleep(REST).await;
    let mutations = world.audit()?.mutations_since(mark)?;
    let of_operator = |mutation: &&Mutation| mutation.user == OPERATOR;
    let lease = mutations.iter().filter(of_operator).filter(|one| one.resource == "leases").count();
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
        REST.as_secs(),
        world.namespace(),
        others.len()
    );
    ensure!(others.is_empty(), "{others:#?}");
    ensure!(
        (55..=65).contains(&lease),
        "{lease} writes of the Lease in {} s at one each 5 s",
        REST.as_secs()
    );
    Ok(())
}

#[tokio::test]
async fn at_rest_and_idle_only_the_lease_is_written() -> Result<()> {
    World::run("at_rest_idle", async |world| {
        world.apply_app(&world.shop(2, 4, "10")?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        tokio::time::sleep(SETTLE_IDLE).await;
        rest(world).await
    })
    .await
}

#[tokio::test]
async fn at_rest_under_noisy_load_only_the_lease_is_written() -> Result<()> {
    World::run("at_rest_noisy", async |world| {
        world.apply_app(&world.shop(2, 4, "10")?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        // 20 requests per second are exactly two replicas; the tolerance reaches from 18 to 22.
        let noise = ["8s@19", "8s@21", "8s@20", "8s@20.5", "8s@19.5"].join(",");
        let profile = [noise.as_str(); 11].join(",");
        let load = world.load_web("/wait?ms=2", &profile).await?;
        tokio::time::sleep(SETTLE_NOISY).await;
        rest(world).await?;
        load.finish().await.map(drop)
    })
    .await
}
