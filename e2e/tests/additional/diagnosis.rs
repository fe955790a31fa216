//! What a diagnosis says of `shop`, and the accounts of its database as an app of their own.

use anyhow::{Context, Result, ensure};
use scalableapp_crds::BottleneckStatus;
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// `web` with the accounts alone, and its pool of connections. It scales on its latency, too, with this target.
pub(super) fn accounts(world: &World, pool: i32, target: &str) -> Result<Value> {
    let mut app = world.shop_of(&["web"])?;
    let web = &mut app["spec"]["services"][0];
    web["args"] = json!(["--modules", "accounts"]);
    web["scaling"] = json!({
        "minReplicas": 2,
        "maxReplicas": 6,
        "metrics": [
            {"name": "rps", "requestRate": {"perReplica": "20"}},
            {"name": "p90", "latency": {"quantile": "0.9", "target": target}},
        ],
    });
    web["connectionPool"] = json!({"database": "main", "size": pool});
    app["spec"]["databases"] = json!([{"name": "main", "postgres": {
        "primary": {"secretRef": {"name": "shop-db"}},
    }}]);
    app["spec"].as_object_mut().context("no spec")?.remove("workers");
    Ok(app)
}

/// Creates an account, and returns its path.
pub(super) async fn account(world: &World) -> Result<String> {
    let account = json!({"email": "ada@example.org", "name": "Ada"});
    let account = world.insist("services/shop-web:8080", "/accounts", "account", &account).await?;
    Ok(format!("/accounts/{}", account.json(201)?["id"]))
}

/// Each read of an account takes so much longer from now on, in new sessions.
pub(super) async fn slow_reads(world: &World, time: Duration) -> Result<()> {
    let statement = format!(
        "ALTER TABLE accounts.accounts RENAME TO fast_accounts;
        CREATE VIEW accounts.accounts AS
            SELECT fast_accounts.* FROM accounts.fast_accounts CROSS JOIN (SELECT pg_sleep({})) AS waited;
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'shop.%'",
        time.as_secs_f64()
    );
    world.sql(&statement).await.map(drop)
}

/// Undoes [`slow_reads`].
pub(super) async fn fast_reads(world: &World) -> Result<()> {
    let statement = "DROP VIEW accounts.accounts;
        ALTER TABLE accounts.fast_accounts RENAME TO accounts;
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'shop.%'";
    world.sql(statement).await.map(drop)
}

pub(super) async fn bottleneck(world: &World) -> Result<Option<BottleneckStatus>> {
    let app = world.apps().get("shop").await?;
    Ok(app.status.and_then(|status| status.bottleneck))
}

pub(super) async fn nothing_is_said(world: &World) -> Result<()> {
    let said = bottleneck(world).await?;
    ensure!(said.is_none(), "{said:?}");
    Ok(())
}

/// Waits until this cause is named at this component, prints after how long, and returns it.
pub(super) async fn is_named(
    world: &World,
    (component, cause): (&str, &str),
    within: Duration,
) -> Result<BottleneckStatus> {
    let begun = Instant::now();
    let said = wait_until("the cause is named", within, async || {
        let said = bottleneck(world).await?.context("nothing is said")?;
        ensure!((said.component.as_str(), said.cause.as_str()) == (component, cause), "{said:?}");
        Ok(said)
    })
    .await?;
    println!("{:.1} s until it was named: {}", begun.elapsed().as_secs_f64(), said.message);
    Ok(said)
}
