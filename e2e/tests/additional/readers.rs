//! Read replicas in tests that disturb them.

use super::stack::stack;
use anyhow::{Context, Result, ensure};
use hyper::Request;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use scalableapp_e2e::world::{World, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WEB: &str = "services/shop-web:8080";

/// The stack without its cache, which would answer reads in place of the replicas, and without the module that needs it.
pub(super) fn without_cache(world: &World) -> Result<Value> {
    let mut app = stack(world)?;
    app["spec"].as_object_mut().context("the app has no spec")?.remove("caches");
    app["spec"]["services"][0]["args"] = json!(["--modules", "welcome,payments,catalog,accounts,orders"]);
    Ok(app)
}

/// The app with this fixed number of read replicas.
pub(super) fn with_readers(app: &Value, readers: i32) -> Value {
    let mut app = app.clone();
    let replicas = &mut app["spec"]["databases"][0]["postgres"]["readReplicas"];
    (replicas["min"], replicas["max"]) = (json!(readers), json!(readers));
    app
}

/// Writes a name and reads it back, again and again; returns how often, and how often the read showed less.
pub(super) async fn own_writes(world: &World, account: &Value, is_over: &AtomicBool) -> Result<(u32, u32)> {
    let (mut writes, mut stale) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        writes += 1;
        let name = format!("Ada {writes}");
        let path = format!("/accounts/{account}/name");
        let write = Request::put(path).header("content-type", "application/json");
        let answer = world.call(WEB, write.body(json!({"name": name}).to_string())?).await?;
        answer.has(200)?;
        let token = answer.headers["x-consistency-token"].to_str()?.to_owned();
        let read = Request::get(format!("/accounts/{account}")).header("x-consistency-token", token);
        let shown = world.call(WEB, read.body(String::new())?).await?.json(200)?;
        stale += u32::from(shown["name"] != name.as_str());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok((writes, stale))
}

/// The pods to which the read Service sends new connections.
async fn in_service(world: &World) -> Result<BTreeSet<String>> {
    let slices: Api<EndpointSlice> = Api::namespaced(world.client(), world.namespace());
    let of_service = ListParams::default().labels("kubernetes.io/service-name=shop-main");
    let slices = slices.list(&of_service).await?.items;
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    let ready = endpoints.filter(|one| one.conditions.as_ref().is_some_and(|it| it.ready == Some(true)));
    Ok(ready.filter_map(|one| one.target_ref.as_ref()?.name.clone()).collect())
}

/// Waits until the read Service has exactly these pods; returns the seconds that this took.
pub(super) async fn service_has(world: &World, pods: &[&str], within: Duration) -> Result<f64> {
    let begun = Instant::now();
    let wanted: BTreeSet<String> = pods.iter().map(|pod| (*pod).to_owned()).collect();
    wait_until("the read Service has the pods", within, async || {
        let found = in_service(world).await?;
        ensure!(found == wanted, "{found:?} in place of {wanted:?}");
        Ok(())
    })
    .await?;
    Ok(begun.elapsed().as_secs_f64())
}

/// What a statement of a superuser returns in a read replica, over its own socket.
pub(super) async fn on_reader(world: &World, pod: &str, statement: &str) -> Result<String> {
    let socket = "/var/run/postgresql";
    let psql = ["psql", "-qAtX", "-h", socket, "-U", "shop", "-d", "shop", "-c", statement];
    world.exec(pod, "main", &psql).await
}

/// How often a read replica has said that it is eligible, and that it is not.
pub(super) async fn turns(world: &World, pod: &str) -> Result<(usize, usize)> {
    let log = world.logs(pod, Some("main")).await.context("the log of the read replica")?;
    let count = |words: &str| log.matches(words).count();
    Ok((count("The reader is eligible"), count("The reader is not eligible:")))
}
