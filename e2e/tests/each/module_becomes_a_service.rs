//! A module moves to a component of its own by two changes of the ScalableApp and none of the image, and no request to it
//! is lost on the way: its address selects the pods that say they serve it.

use anyhow::{Result, ensure};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

const ADDRESS: &str = "
apiVersion: v1
kind: Service
metadata: {name: catalog}
spec: {selector: {serves-catalog: 'true'}, ports: [{name: http, port: 80, targetPort: http}]}
";

/// A component of the shop that serves these modules and, if the catalog is among them, says so.
fn component(mut web: Value, name: &str, modules: &str) -> Value {
    web["name"] = json!(name);
    web["args"] = json!(["--modules", modules]);
    web["podTemplate"]["spec"]["containers"][0]["name"] = json!(name);
    if modules.contains("catalog") {
        web["podTemplate"]["metadata"] = json!({"labels": {"serves-catalog": "true"}});
    }
    web
}

async fn apply(world: &World, app: &Value) -> Result<()> {
    world.apply_app(app).await?;
    wait_until("the app is up as applied", Duration::from_secs(120), async || {
        world.is_up().await?;
        let components = app["spec"]["services"].as_array().map_or(0, Vec::len);
        let deployments = world.deployments().await?.len();
        ensure!(deployments == components, "{deployments} Deployments for {components} components");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn module_becomes_a_service() -> Result<()> {
    World::run("module_becomes_a_service", async |world| {
        world.start_servers(&[]).await?;
        world.apply(ADDRESS).await?;
        let mut app = world.shop_of(&["web"])?;
        let web = app["spec"]["services"][0].take();
        let whole = component(web.clone(), "web", "accounts,catalog,orders");
        app["spec"]["services"] = json!([whole]);
        apply(world, &app).await?;
        world.stock_shop().await?;

        let url = format!("http://catalog.{}.svc/products", world.namespace());
        let load = world.start_load("load", &url, "75s@15").await?;
        app["spec"]["services"] = json!([whole, component(web.clone(), "catalog", "catalog")]);
        apply(world, &app).await?;
        app["spec"]["services"] =
            json!([component(web.clone(), "web", "accounts,orders"), component(web, "catalog", "catalog")]);
        apply(world, &app).await?;

        world.get("services/shop-web:8080", "/products").await?.has(404)?;
        world.get("services/shop-catalog:8080", "/products").await?.has(200)?;
        let report = load.finish().await?;
        println!("module_becomes_a_service: {report:?}");
        ensure!(report.failed.total() == report.failed.shed, "{report:?}");
        Ok(())
    })
    .await
}
