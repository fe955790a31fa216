//! The shop of examples/shop.yaml runs from one small image: every module answers, the one that has a component of its own
//! answers there, what it hands to a worker gets done, and a pod that is told to go ends by itself.

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use hyper::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, WatchEvent, WatchParams};
use scalableapp_e2e::world::{Sample, Server, World, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

const WEB: &str = "services/shop-web:8080";
const REPORTS: &str = "services/shop-reports:8080";

/// The example, with a folder of the only pod of `web` in place of an object store.
fn app(world: &World) -> Result<Value> {
    let mut app = world.shop_of(&["web", "reports", "worker"])?;
    let web = &mut app["spec"]["services"][0];
    let modules = web["args"][1].as_str().context("web names no modules")?;
    web["args"][1] = json!(format!("{modules},media"));
    web["env"] = json!([{"name": "MEDIA_URL", "value": "file:///media"}]);
    web["podTemplate"]["spec"]["volumes"] = json!([{"name": "media", "emptyDir": {}}]);
    web["podTemplate"]["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "media", "mountPath": "/media"}]);
    Ok(app)
}

/// As much of a picture as the service looks at.
const PICTURE: &str = "RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0/\0\0\0\0\0";

/// Every module that `web` serves, and what came of it: a product that was sold.
async fn buy(world: &World) -> Result<Value> {
    let order = world.stock_shop().await?;
    let product = order["items"][0]["product"].clone();
    let placed = world.insist(WEB, "/orders", "o", &order).await?.json(201)?;
    ensure!(placed["state"] == "paid" && placed["totalCents"] == 450, "{placed}");
    let taken = world.get("services/payments:80", "/taken").await?.json(200)?;
    ensure!(taken == json!({"count": 1, "amount": 450}), "{taken}");

    let picture = Request::post(format!("/media?product={product}")).header("content-type", "image/webp");
    world.call(WEB, picture.body(PICTURE.to_owned())?).await?.has(201)?;
    let list = format!("/media?product={product}");
    // Without the token of the write it may be read from a replica that has it a moment later.
    let picture = wait_until("the picture is in the list", Duration::from_secs(10), async || {
        let list = world.get(WEB, &list).await?.json(200)?;
        list["media"][0].as_str().map(str::to_owned).with_context(|| format!("{list}"))
    })
    .await?;
    ensure!(world.get(WEB, &picture).await?.body == PICTURE, "another picture");

    for path in ["/".to_owned(), format!("/products/{product}"), "/payments/methods".to_owned()] {
        world.get(WEB, &path).await?.has(200)?;
    }
    world.insist(WEB, "/visits", "v", &json!({})).await?.has(200)?;
    Ok(product)
}

/// A report is asked for where its module is served, and made by the worker.
async fn report(world: &World, product: &Value) -> Result<()> {
    let period = json!({"from": "2020-01-01", "to": "2099-12-31"});
    world.post(WEB, "/reports", "r", &period).await?.has(404)?;
    let accepted = world.insist(REPORTS, "/reports", "r", &period).await?.json(202)?;
    let status = accepted["status"].as_str().context("no status")?;
    let job = wait_until("the report is made", Duration::from_secs(30), async || {
        let job = world.get(REPORTS, status).await?.json(200)?;
        ensure!(job["state"] == "done", "{job}");
        Ok(job)
    })
    .await?;
    let path = job["result"]["report"].as_str().context("no report")?.to_owned();
    // Without the token of the write it may be read from a replica that has it a moment later.
    let report = wait_until("the report can be read", Duration::from_secs(10), async || {
        world.get(REPORTS, &path).await?.json(200)
    })
    .await?;
    let sold = json!([{"product": product, "name": "Tea", "quantity": 1, "cents": 450}]);
    ensure!(report["lines"] == sold, "{report}");
    Ok(())
}

/// Which components a query finds.
async fn components(world: &World, query: &str) -> Result<Vec<String>> {
    let query = query.replace("NAMESPACE", &format!("namespace=\"{}\"", world.namespace()));
    let samples = world.prometheus("scalableapp-system", "scalableapp-prometheus:9090").query(&query).await?;
    let component = |sample: Sample| sample.labels.get("component").cloned().unwrap_or_default();
    Ok(samples.into_iter().map(component).collect())
}

/// The metrics tell by which component a module was served, and by which its work was done.
async fn measured(world: &World) -> Result<()> {
    let requests = |module: &str| {
        format!(
            "sum by (component) (http_server_request_duration_seconds_count{{NAMESPACE,module=\"{module}\"}}) > 0"
        )
    };
    let done = "sum by (component) (jobs_finished_total{NAMESPACE,queue=\"reports\",outcome=\"done\"}) > 0";
    for (query, component) in
        [(requests("reports"), "reports"), (requests("orders"), "web"), (done.to_owned(), "worker")]
    {
        wait_until("the module is measured where it is served", Duration::from_secs(60), async || {
            let found = components(world, &query).await?;
            ensure!(found == [component], "{query}: {found:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Deletes a pod and returns the exit code of its container.
async fn ends_with(world: &World, component: &str) -> Result<i32> {
    let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
    let pod = world.pods_of(component).await?.into_iter().next().context("no pod")?.name_any();
    let of_pod = WatchParams::default().fields(&format!("metadata.name={pod}")).timeout(60);
    let mut events = pods.watch(&of_pod, "0").await?.boxed();
    pods.delete(&pod, &DeleteParams::default()).await?;
    while let Some(event) = events.next().await {
        let (WatchEvent::Modified(pod) | WatchEvent::Deleted(pod)) = event? else { continue };
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        let state = statuses.into_iter().next().and_then(|container| container.state);
        if let Some(terminated) = state.and_then(|state| state.terminated) {
            return Ok(terminated.exit_code);
        }
    }
    bail!("pod {pod} was not seen to end")
}

#[tokio::test]
async fn shop_serves_from_its_image() -> Result<()> {
    World::run("shop_serves_from_its_image", async |world| {
        world.start_servers(&[Server::Replica, Server::Redis, Server::Payments]).await?;
        world.apply_app(&app(world)?).await?;
        wait_until("the shop is up", Duration::from_secs(120), async || world.is_up().await).await?;
        let product = buy(world).await?;
        report(world, &product).await?;
        measured(world).await?;
        for component in ["web", "worker"] {
            let code = ends_with(world, component).await?;
            ensure!(code == 0, "the pod of {component} ended with {code}");
        }
        Ok(())
    })
    .await
}
