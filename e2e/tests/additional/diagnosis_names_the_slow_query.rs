//! The statements of a real PostgreSQL become slow. The status names the database and the cause, and no pod is added although
//! the latency is above its target. Before, under load and a peak of it, nothing is said.

use anyhow::{Context, Result, ensure};
use scalableapp_crds::BottleneckStatus;
use scalableapp_e2e::world::{DIAGNOSIS_WINDOW, World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The accounts, each read of which takes 0.3 s more.
const SLOW: &str = "ALTER TABLE accounts.accounts RENAME TO fast_accounts;
    CREATE VIEW accounts.accounts AS
        SELECT fast_accounts.* FROM accounts.fast_accounts CROSS JOIN (SELECT pg_sleep(0.3)) AS waited;
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'shop.%'";
const REPAIRED: &str = "DROP VIEW accounts.accounts;
    ALTER TABLE accounts.fast_accounts RENAME TO accounts;
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'shop.%'";

fn app(world: &World) -> Result<Value> {
    let mut app = world.shop_of(&["web"])?;
    let web = &mut app["spec"]["services"][0];
    web["args"] = json!(["--modules", "accounts"]);
    web["scaling"] = json!({
        "minReplicas": 2,
        "maxReplicas": 6,
        "metrics": [
            {"name": "rps", "requestRate": {"perReplica": "20"}},
            {"name": "p90", "latency": {"quantile": "0.9", "target": "100ms"}},
        ],
    });
    web["connectionPool"] = json!({"database": "main", "size": 12});
    app["spec"]["databases"] = json!([{"name": "main", "postgres": {
        "primary": {"secretRef": {"name": "shop-db"}},
    }}]);
    app["spec"].as_object_mut().context("no spec")?.remove("workers");
    Ok(app)
}

async fn bottleneck(world: &World) -> Result<Option<BottleneckStatus>> {
    let app = world.apps().get("shop").await?;
    Ok(app.status.and_then(|status| status.bottleneck))
}

async fn nothing_is_said(world: &World) -> Result<()> {
    let said = bottleneck(world).await?;
    ensure!(said.is_none(), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn diagnosis_names_the_slow_query() -> Result<()> {
    World::apart("diagnosis_names_the_slow_query", async |world| {
        world.start_servers_with(&[], 100).await?;
        let _operator = world.own_operator().await?;
        world.apply_app(&app(world)?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let account = json!({"email": "ada@example.org", "name": "Ada"});
        let account = world.insist("services/shop-web:8080", "/accounts", "account", &account).await?;
        let path = format!("/accounts/{}", account.json(201)?["id"]);
        // With a peak, which is none of its problems.
        let load = world.load_web(&path, "240s@12,40s@24,600s@12").await?;
        holds_for("nothing is said while nothing is wrong", DIAGNOSIS_WINDOW * 6, async || {
            nothing_is_said(world).await
        })
        .await?;
        world.sql(SLOW).await?;
        let begun = Instant::now();
        let said = wait_until("the cause is named", DIAGNOSIS_WINDOW * 3, async || {
            let said = bottleneck(world).await?.context("nothing is said")?;
            ensure!((said.component.as_str(), said.cause.as_str()) == ("main", "DatabaseSlow"), "{said:?}");
            Ok(said)
        })
        .await?;
        println!(
            "diagnosis_names_the_slow_query: {:.1} s until it was named: {}",
            begun.elapsed().as_secs_f64(),
            said.message
        );
        let replicas = world.replicas().await?;
        holds_for("no pod is added, and what is said stays", DIAGNOSIS_WINDOW, async || {
            let (now, still) = (world.replicas().await?, bottleneck(world).await?);
            ensure!(now <= replicas, "{now} replicas after {replicas}");
            ensure!(still.as_ref() == Some(&said), "{still:?}");
            Ok(())
        })
        .await?;
        println!("diagnosis_names_the_slow_query: {replicas} replicas of 6 while the query was slow");
        world.sql(REPAIRED).await?;
        wait_until("nothing is said any more", DIAGNOSIS_WINDOW * 3, async || nothing_is_said(world).await)
            .await?;
        load.kill().await
    })
    .await
}
