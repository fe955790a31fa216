//! A payment provider that hangs for a moment is overloaded afterwards by the calls that its careless caller repeats: the
//! trigger is gone, the customers are as many as before, and yet none is served. The status names the overload and says to
//! repeat less. With a retry budget and a circuit breaker the storm ends, and nothing is said any more.

use super::diagnosis::{bottleneck, is_named, nothing_is_said};
use super::payments::{pay, shop};
use anyhow::{Context, Result, ensure};
use scalableapp_e2e::world::{World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// Calls that the provider answers a second, for 20 customers: enough, unless each call is made twice.
const CAPACITY: u32 = 30;
const CUSTOMERS: &str = "1800s@20";
/// For how long the provider hangs.
const TRIGGER: Duration = Duration::from_secs(15);
/// The judged window: a storm lasts for a minute of it.
const WINDOW: Duration = Duration::from_secs(80);

fn careless(app: &Value) -> Value {
    let mut app = app.clone();
    let env = app["spec"]["services"][0]["env"].as_array_mut();
    env.into_iter().for_each(|env| env.push(json!({"name": "PAYMENTS_CARELESS", "value": "true"})));
    app
}

/// Whether a customer can pay.
async fn is_served(world: &World, key: &str) -> Result<bool> {
    let payment = json!({"amount": 1250, "currency": "EUR"});
    let answer = world.post("services/shop-web:8080", "/payments", key, &payment).await?;
    Ok(answer.status == 201)
}

#[tokio::test]
async fn retry_storm_is_named_and_ends() -> Result<()> {
    World::apart("retry_storm_is_named_and_ends", async |world| {
        world.start_payments().await?;
        let window = json!({"prometheus": {"diagnosisWindow": format!("{}s", WINDOW.as_secs())}});
        let _operator = world.own_operator_with(&window).await?;
        let mut careful = shop(world)?;
        // It would add pods for the latency before there is a verdict.
        let metrics = careful["spec"]["services"][0]["scaling"]["metrics"].as_array_mut();
        metrics.context("no metrics")?.truncate(1);
        world.apply_app(&careless(&careful)).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let well = json!({"answers_per_second": CAPACITY});
        world.payments_behave(&well).await?;
        let load = pay(world, "load", CUSTOMERS).await?;
        holds_for("nothing is said while the provider has time", WINDOW * 9 / 2, async || {
            nothing_is_said(world).await
        })
        .await?;
        ensure!(is_served(world, "before").await?, "nobody is served before the storm");
        let replicas = world.replicas().await?;
        world.payments_behave(&json!({"answers_per_second": CAPACITY, "hang": true})).await?;
        tokio::time::sleep(TRIGGER).await;
        world.payments_behave(&well).await?;
        let said = is_named(world, ("web", "SustainedOverload"), WINDOW * 3).await?;
        ensure!(said.advice == "ShedLoad", "{said:?}");
        ensure!(!is_served(world, "during").await?, "the storm has ended by itself");
        holds_for("what is said stays, and no pod makes it worse", WINDOW / 4, async || {
            let still = bottleneck(world).await?;
            ensure!(still.as_ref() == Some(&said), "{still:?}");
            world.has_replicas(replicas).await
        })
        .await?;
        world.apply_app(&careful).await?;
        wait_until("customers are served", Duration::from_secs(90), async || {
            ensure!(is_served(world, "after").await?, "not yet");
            Ok(())
        })
        .await?;
        wait_until("nothing is said any more", WINDOW * 3, async || nothing_is_said(world).await).await?;
        load.kill().await
    })
    .await
}
