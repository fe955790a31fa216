//! The payment provider of `front` hangs, so `front` no longer calls `web`. `web` keeps the replicas that it needs for `front`,
//! and serves all of its calls when it comes back. Next to it stands what HPA and KEDA would have decided from the same
//! samples: both compute the replicas from the request rate, by the same formula.
//!
//! The load generator stands for the calls of `front`: they stop when its breakers open, and return when these close.

use anyhow::{Context, Result, ensure};
use scalableapp_crds::ConditionStatus;
use scalableapp_e2e::world::{LoadPod, Prometheus, World, holds_for, wait_until};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::time::{Duration, Instant};

const DEGRADED: &str = "DependencyDegraded";
/// Calls of `front`, in requests per second: four replicas of `web`.
const CALLS: u32 = 34;
const PER_REPLICA: f64 = 10.0;
const REPLICAS: i32 = 4;
/// Customers of `front`, who still try while nobody can pay.
const CUSTOMERS: u32 = 20;
/// The window that keeps replicas, a tenth of the default.
const WINDOW: Duration = Duration::from_secs(30);
/// The silence: ten minutes, scaled in the same way.
const SILENCE: Duration = Duration::from_secs(60);

/// `front`, which calls the payment provider and `web`.
fn shop(world: &World) -> Result<Value> {
    let mut app = world.shop(1, 5, &PER_REPLICA.to_string())?;
    app["spec"]["dependencies"] = json!([{"name": "payments", "circuit": {"source": "app"}}]);
    let services = app["spec"]["services"].as_array_mut().context("no services")?;
    services[0]["scaling"]["behavior"] =
        json!({"scaleDown": {"stabilizationWindowSeconds": WINDOW.as_secs()}});
    let mut front = services[0].clone();
    front["name"] = json!("front");
    front["args"] = json!(["--modules", "payments"]);
    front["env"] = json!([{"name": "PAYMENTS_URL", "value": "http://payments"}]);
    front["calls"] = json!(["payments", "web"]);
    front["scaling"] = json!({"minReplicas": 2, "maxReplicas": 2});
    services.push(front);
    Ok(app)
}

async fn customers<'a>(world: &'a World, name: &str) -> Result<LoadPod<'a>> {
    let url = format!("http://shop-front.{}.svc:8080/payments", world.namespace());
    let payment = json!({"amount": 1250, "currency": "EUR"});
    world.start_posts(name, &url, &payment, &format!("400s@{CUSTOMERS}")).await
}

async fn calls<'a>(world: &'a World, name: &str, seconds: u32) -> Result<LoadPod<'a>> {
    let url = format!("http://shop-web.{}.svc:8080/wait?ms=5", world.namespace());
    world.start_load(name, &url, &format!("{seconds}s@{CALLS}")).await
}

/// HPA's replicas for an average value: the total over the target, rounded up, unless it is within the tolerance of a tenth;
/// fewer ones only when all of the window recommended no more. KEDA passes the metric on to an HPA.
struct Hpa {
    replicas: i32,
    recommended: Vec<(Instant, i32)>,
    fewest: i32,
}

impl Hpa {
    fn see(&mut self, rate: f64) {
        let now = Instant::now();
        let ratio = rate / (PER_REPLICA * f64::from(self.replicas));
        let wanted =
            if (ratio - 1.0).abs() <= 0.1 { self.replicas } else { (rate / PER_REPLICA).ceil() as i32 };
        self.recommended.push((now, wanted.clamp(1, 5)));
        self.recommended.retain(|(at, _)| now.duration_since(*at) <= WINDOW);
        let highest = self.recommended.iter().map(|(_, replicas)| *replicas).max().unwrap_or(wanted);
        self.replicas = if wanted > self.replicas { wanted.min(5) } else { highest.min(self.replicas) };
        self.fewest = self.fewest.min(self.replicas);
    }
}

/// The rate of `web` that the operator uses.
async fn rate(world: &World, prometheus: &Prometheus<'_>) -> Result<f64> {
    let query = format!(
        "sum(rate(http_server_request_duration_seconds_count{{namespace=\"{}\",component=\"web\"}}[20s]))",
        world.namespace()
    );
    Ok(prometheus.query(&query).await?.first().map_or(0.0, |sample| sample.value))
}

async fn web_is_held(world: &World) -> Result<()> {
    let web = world.web().await?;
    ensure!(web.desired >= REPLICAS, "{web:?}");
    Ok(())
}

#[tokio::test]
async fn callee_of_a_silent_caller_is_held() -> Result<()> {
    World::apart("callee_of_a_silent_caller_is_held", async |world| {
        world.start_payments().await?;
        let _operator = world.own_operator().await?;
        world.apply_app(&shop(world)?).await?;
        wait_until("the app is up", Duration::from_secs(90), async || world.is_up().await).await?;
        let customers = customers(world, "customers").await?;
        let calls_before = calls(world, "before", 400).await?;
        wait_until("the calls are four replicas", Duration::from_secs(90), async || {
            world.has_ready(REPLICAS).await?;
            world.says(DEGRADED, ConditionStatus::False, "DependenciesWell").await
        })
        .await?;
        let fewest = silence(world, calls_before).await?;
        println!(
            "callee_of_a_silent_caller_is_held: at the return {REPLICAS} replicas; HPA's and KEDA's formula: {fewest}"
        );
        ensure!(fewest < REPLICAS, "the same samples gave HPA {fewest} replicas");
        comes_back(world).await?;
        customers.kill().await
    })
    .await
}

/// The provider hangs and the calls stop. Returns the replicas that HPA's formula would have had at the end.
async fn silence(world: &World, calls: LoadPod<'_>) -> Result<i32> {
    let service = format!("{}-prometheus:9090", world.namespace());
    let prometheus = world.prometheus(world.namespace(), &service);
    let hpa = RefCell::new(Hpa { replicas: REPLICAS, recommended: Vec::new(), fewest: REPLICAS });
    let look = async || {
        web_is_held(world).await?;
        let rate = rate(world, &prometheus).await?;
        hpa.borrow_mut().see(rate);
        Ok(())
    };
    world.payments_behave(&json!({"hang": true})).await?;
    wait_until("the caller is silent", Duration::from_secs(60), async || {
        look().await?;
        world.says(DEGRADED, ConditionStatus::True, DEGRADED).await
    })
    .await?;
    calls.kill().await?;
    holds_for("the callee keeps its replicas", SILENCE, look).await?;
    let web = world.web().await?;
    ensure!(web.limited_by.contains("CallersSilent"), "{web:?}");
    Ok(hpa.into_inner().fewest)
}

async fn comes_back(world: &World) -> Result<()> {
    world.payments_behave(&json!({})).await?;
    wait_until("the breakers are closed", Duration::from_secs(60), async || {
        web_is_held(world).await?;
        world.says(DEGRADED, ConditionStatus::False, "DependenciesWell").await
    })
    .await?;
    let calls = calls(world, "return", 30).await?;
    holds_for("the replicas are there for the return", Duration::from_secs(25), async || {
        web_is_held(world).await
    })
    .await?;
    let report = calls.finish().await?;
    println!("callee_of_a_silent_caller_is_held: the return: {report:?}");
    ensure!(report.failed.total() == 0, "{report:?}");
    let over = WINDOW * 2 + Duration::from_secs(60);
    wait_until("without calls replicas go", over, async || {
        let web = world.web().await?;
        ensure!(web.desired == 1, "{web:?}");
        Ok(())
    })
    .await
}
