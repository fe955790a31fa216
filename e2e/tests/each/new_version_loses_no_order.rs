//! A new version takes over while orders come in, each twice under its key. No answer is lost, and each order is there once
//! and charged once.

use anyhow::{Context, Result, ensure};
use scalableapp_e2e::world::{Server, World, wait_until};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn new_version_loses_no_order() -> Result<()> {
    World::run("new_version_loses_no_order", async |world| {
        world.start_servers(&[Server::Payments]).await?;
        let mut app = world.shop_of(&["web", "worker"])?;
        app["spec"]["services"][0]["args"] = json!(["--modules", "catalog,accounts,orders"]);
        app["spec"]["services"][0]["scaling"] = json!({"minReplicas": 2, "maxReplicas": 2});
        world.apply_app(&app).await?;
        wait_until("the shop is up", Duration::from_secs(120), async || world.is_up().await).await?;
        let order = world.stock_shop().await?;
        let url = format!("http://shop-web.{}.svc:8080/orders", world.namespace());
        let load = world.start_posts("load", &url, &order, "60s@8").await?;
        wait_until("orders come in", Duration::from_secs(60), async || {
            let orders: u64 = world.sql("SELECT count(*) FROM orders.orders").await?.parse()?;
            ensure!(orders > 8, "{orders} orders");
            Ok(())
        })
        .await?;
        for service in app["spec"]["services"].as_array_mut().context("no services")? {
            let env = service["env"].as_array_mut().context("no env")?;
            env.push(json!({"name": "VERSION", "value": "2"}));
        }
        world.apply_app(&app).await?;
        wait_until("only the new version has pods", Duration::from_secs(60), async || {
            world.is_up().await?;
            let deployments = world.deployments().await?.len();
            ensure!(deployments == 2, "{deployments} Deployments for two components");
            Ok(())
        })
        .await?;

        let report = load.finish().await?;
        println!("new_version_loses_no_order: {report:?}");
        ensure!(report.failed.total() == report.failed.shed, "{report:?}");
        // What is shed was not placed: either by both requests of its key or by the first, so that the second did.
        wait_until("every order is settled", Duration::from_secs(60), async || {
            let open = world.sql("SELECT count(*) FROM orders.orders WHERE state <> 'paid'").await?;
            ensure!(open == "0", "{open} are open");
            Ok(())
        })
        .await?;
        let orders: u64 = world.sql("SELECT count(*) FROM orders.orders").await?.parse()?;
        let keys = report.sent.div_ceil(2);
        ensure!(
            report.ok.div_ceil(2) <= orders && orders <= keys,
            "{orders} orders for {keys} keys: {report:?}"
        );
        let charged = world.sql("SELECT count(*), count(DISTINCT order_id) FROM orders.charges").await?;
        ensure!(charged == format!("{orders}|{orders}"), "{charged} charges, orders of {orders}");
        let taken = world.get("services/payments:80", "/taken").await?.json(200)?;
        ensure!(taken["count"] == orders, "{taken} for {orders} orders");
        Ok(())
    })
    .await
}
