//! One of four pods does not reach the payment provider. It leaves the Service, and from then on no customer is refused. The
//! dependency is not called degraded, and no replica is held. The pod is replaced, and no customer notices that either.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{LoadPod, World, holds_for, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const DEGRADED: &str = "DependencyDegraded";
const TIER: &str = "scalableapp.dev/tier";
const REPLICAS: i32 = 4;
/// Requests per second: enough on each pod for its breaker to open.
const RATE: u32 = 40;
/// Time with an open breaker after which the pod leaves, and after which it is replaced.
const EJECTION: (&str, &str) = ("4s", "30s");

/// `web`, which calls the payment provider.
fn shop(world: &World) -> Result<Value> {
    let mut app = world.shop(REPLICAS, REPLICAS, "1000")?;
    let circuit = json!({"source": "app", "ejection": {"after": EJECTION.0, "replaceAfter": EJECTION.1}});
    app["spec"]["dependencies"] = json!([{"name": "payments", "circuit": circuit}]);
    let web = &mut app["spec"]["services"][0];
    web["args"] = json!(["--modules", "payments"]);
    web["env"] = json!([{"name": "PAYMENTS_URL", "value": "http://payments"}]);
    web["calls"] = json!(["payments"]);
    Ok(app)
}

async fn pay<'a>(world: &'a World, name: &str, seconds: u32) -> Result<LoadPod<'a>> {
    let url = format!("http://shop-web.{}.svc:8080/payments", world.namespace());
    let payment = json!({"amount": 1250, "currency": "EUR"});
    world.start_posts(name, &url, &payment, &format!("{seconds}s@{RATE}")).await
}

fn is_in_service(pod: &Pod) -> bool {
    pod.labels().get(TIER).is_some_and(|tier| tier == "service")
}

/// Never degraded, and no replica is held.
async fn is_a_problem_of_one_pod(world: &World) -> Result<()> {
    let condition = world.condition(DEGRADED).await?;
    ensure!(condition.status != ConditionStatus::True, "{condition:?}");
    let limited = world.condition("ScalingLimited").await?;
    ensure!(!limited.reason.starts_with("Dependency"), "{limited:?}");
    world.has_replicas(REPLICAS).await
}

#[tokio::test]
async fn one_bad_pod_is_not_an_outage() -> Result<()> {
    World::apart("one_bad_pod_is_not_an_outage", async |world| {
        world.start_payments().await?;
        let _operator = world.own_operator().await?;
        world.apply_app(&shop(world)?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.has_ready(REPLICAS).await)
            .await?;
        let before = pay(world, "before", 300).await?;
        wait_until("the breakers are known to be closed", Duration::from_secs(60), async || {
            world.says(DEGRADED, ConditionStatus::False, "DependenciesWell").await
        })
        .await?;
        let bad = world.web_pods().await?.into_iter().next().context("no pod")?;
        let begun = Instant::now();
        leaves(world, &bad).await?;
        before.kill().await?;
        println!(
            "one_bad_pod_is_not_an_outage: {:.1} s until the pod had left the Service",
            begun.elapsed().as_secs_f64()
        );
        is_replaced(world, &bad, begun).await
    })
    .await
}

async fn leaves(world: &World, bad: &Pod) -> Result<()> {
    let address = bad.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("no address")?;
    world.payments_behave(&json!({"hang_for": address})).await?;
    let name = bad.name_any();
    wait_until("the pod leaves the Service", Duration::from_secs(60), async || {
        is_a_problem_of_one_pod(world).await?;
        let pods = world.web_pods().await?;
        let out: Vec<String> = pods.iter().filter(|pod| !is_in_service(pod)).map(Pod::name_any).collect();
        ensure!(out == [name.clone()], "these are out of it: {out:?}");
        Ok(())
    })
    .await?;
    // kube-proxy learns it from the EndpointSlice.
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.says(DEGRADED, ConditionStatus::False, "CircuitOpenOnSomePods").await.map(drop)
}

async fn is_replaced(world: &World, bad: &Pod, begun: Instant) -> Result<()> {
    let name = bad.name_any();
    let after = pay(world, "after", 75).await?;
    wait_until("the pod is replaced", Duration::from_secs(60), async || {
        is_a_problem_of_one_pod(world).await?;
        let pods = world.web_pods().await?;
        ensure!(pods.iter().all(|pod| pod.name_any() != name), "it is still there");
        Ok(())
    })
    .await?;
    let replaced = begun.elapsed().as_secs_f64();
    println!("one_bad_pod_is_not_an_outage: {replaced:.1} s until the pod was replaced");
    wait_until("all pods are in the Service again", Duration::from_secs(30), async || {
        world.has_ready(REPLICAS).await?;
        let pods = world.web_pods().await?;
        ensure!(pods.len() == 4 && pods.iter().all(is_in_service), "not all are");
        world.says(DEGRADED, ConditionStatus::False, "DependenciesWell").await
    })
    .await?;
    let pods = |pods: Vec<Pod>| pods.iter().map(Pod::name_any).collect::<Vec<_>>();
    let all = pods(world.web_pods().await?);
    holds_for("no other pod is touched", Duration::from_secs(15), async || {
        let now = pods(world.web_pods().await?);
        ensure!(now == all, "{now:?} instead of {all:?}");
        is_a_problem_of_one_pod(world).await
    })
    .await?;
    let report = after.finish().await?;
    println!("one_bad_pod_is_not_an_outage: after the pod had left: {report:?}");
    ensure!(report.failed.total() == 0, "{report:?}");
    Ok(())
}
