//! A database of 50 connections, 12 of them of others, under load that asks for more pods than it admits, and a rollout:
//! PostgreSQL refuses no connection. The same load and the same pools without a budget: it refuses many.

use anyhow::{Context, Result, ensure};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

const CONNECTIONS: u32 = 50;
/// Sessions of others.
const OTHERS: u32 = 12;
/// Connections that the app leaves free: the test itself looks at the server.
const RESERVE: u32 = 3;
/// Connections of each pod: its pool, and one while it migrates.
const POOL: u32 = 4;
/// (50 - 3 for superusers - 3 in reserve - 12 of others) / (4 + 1).
const FIT: i32 = 6;
/// What the request rate asks for.
const WANTED: i32 = 11;

/// The accounts of the shop, with connections of their own for 0.7 s each.
const SLOW: &str = "ALTER TABLE accounts.accounts RENAME TO fast_accounts;
    CREATE VIEW accounts.accounts AS
        SELECT fast_accounts.* FROM accounts.fast_accounts CROSS JOIN (SELECT pg_sleep(0.7)) AS waited;
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'shop.%'";

fn app(world: &World, version: &str, has_budget: bool) -> Result<Value> {
    let mut app = world.shop_of(&["web"])?;
    let web = &mut app["spec"]["services"][0];
    web["args"] = json!(["--modules", "accounts"]);
    web["env"] = json!([
        {"name": "DATABASE_MAIN_POOL", "value": POOL.to_string()},
        {"name": "VERSION", "value": version},
    ]);
    web["scaling"] = json!({
        "minReplicas": 2,
        "maxReplicas": WANTED,
        "metrics": [{"name": "rps", "requestRate": {"perReplica": "5"}}],
        "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 10, "periodSeconds": 15}]}},
    });
    web["rollout"] = json!({"rolling": {"maxSurge": "50%", "maxUnavailable": 2}});
    if has_budget {
        web["connectionPool"] = json!({"database": "main", "size": POOL, "hiddenPerPod": 1});
    }
    app["spec"]["databases"] = json!([{"name": "main", "postgres": {
        "primary": {"secretRef": {"name": "shop-db"}},
        "maxConnections": {"reserve": RESERVE},
    }}]);
    app["spec"].as_object_mut().context("no spec")?.remove("workers");
    Ok(app)
}

/// Connections that PostgreSQL has refused so far.
async fn refused(world: &World) -> Result<usize> {
    let log = world.logs("postgres", Some("postgres")).await?;
    let words = ["too many clients already", "remaining connection slots are reserved"];
    Ok(log.lines().filter(|line| words.iter().any(|words| line.contains(words))).count())
}

async fn sessions(world: &World) -> Result<u32> {
    let own = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'shop.%'";
    Ok(world.sql(own).await?.parse()?)
}

async fn is_one_revision(world: &World) -> Result<()> {
    let deployments = world.deployments().await?.len();
    ensure!(deployments == 1, "{deployments} Deployments");
    world.is_up().await
}

#[tokio::test]
async fn scale_out_respects_connections() -> Result<()> {
    World::run("scale_out_respects_connections", async |world| {
        world.start_servers_with(&[], CONNECTIONS).await?;
        world.apply_app(&app(world, "1", true)?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let account = json!({"email": "ada@example.org", "name": "Ada"});
        let account = world.insist("services/shop-web:8080", "/accounts", "account", &account).await?;
        let path = format!("/accounts/{}", account.json(201)?["id"]);
        world.sql(SLOW).await?;
        world.hold_sessions(OTHERS).await?;
        wait_until("the sessions of others are measured", Duration::from_secs(30), async || {
            let others = world.sum_of("db_server_connections{NAMESPACE,owner=\"others\"}").await?;
            ensure!(others >= f64::from(2 * OTHERS), "two pods see {others} together");
            Ok(())
        })
        .await?;

        let load = world.load_web(&path, "260s@60").await?;
        wait_until("the budget is used", Duration::from_secs(75), async || {
            let web = world.web().await?;
            ensure!(web.desired == FIT && web.limited_by.contains("ConnectionBudget"), "{web:?}");
            Ok(())
        })
        .await?;
        let limited = world.condition("ScalingLimited").await?;
        ensure!(limited.message.contains("the connection budget of database main"), "{limited:?}");
        world.apply_app(&app(world, "2", true)?).await?;
        let most = std::cell::Cell::new(0);
        wait_until("only the new version has pods", Duration::from_secs(90), async || {
            most.set(most.get().max(sessions(world).await?));
            is_one_revision(world).await
        })
        .await?;
        let within = refused(world).await?;
        println!(
            "scale_out_respects_connections: {within} connections refused with a budget, {FIT} pods of {WANTED}, at \
             most {} sessions beside {OTHERS} of others",
            most.get()
        );
        ensure!(within == 0, "PostgreSQL refused {within} connections");

        world.apply_app(&app(world, "2", false)?).await?;
        wait_until("PostgreSQL refuses connections", Duration::from_secs(75), async || {
            let refused = refused(world).await?;
            ensure!(refused >= 10, "{refused} refused");
            Ok(())
        })
        .await?;
        let (without, replicas) = (refused(world).await?, world.replicas().await?);
        println!(
            "scale_out_respects_connections: {without} connections refused without a budget, {replicas} replicas"
        );
        load.kill().await
    })
    .await
}
