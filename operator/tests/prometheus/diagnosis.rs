//! From the answers of Prometheus to what the status says is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scalableapp_crds::ScalableAppStatus;
use scalableapp_operator::decide::component_state::ComponentState;
use scalableapp_operator::decide::{self, DecideMemory, View};
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::caches::Observed;
use scalableapp_operator::observe::query_plan::QueryPlan;
use scalableapp_operator::observe::store::SampleStore;
use scalableapp_operator::report::StatusUpdate;
use scalableapp_operator::resolve::{app::App, resolve};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, now};

/// Between two ticks: an eighth of the window, so that each takes a sample.
const TICK: Duration = Duration::from_secs(15);

/// `web` with a pool of the database `main`.
fn shop(pool: &Value) -> App {
    let app = serde_json::from_value(json!({
        "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 1},
        "spec": {
            "services": [{
                "name": "web", "image": "shop:1", "port": 8080, "metricsPort": 9090, "connectionPool": pool,
                "scaling": {"minReplicas": 1, "maxReplicas": 9, "metrics": [
                    {"name": "rps", "requestRate": {"perReplica": "50"}},
                    {"name": "p99", "latency": {"quantile": "0.99", "target": "300ms"}},
                ]},
            }],
            "databases": [{"name": "main", "postgres": {"primary": {"secretRef": {"name": "shop-db"}}}}],
        },
    }));
    resolve(&app.unwrap()).unwrap()
}

fn pooled() -> App {
    shop(&json!({"database": "main", "size": 5}))
}

/// Two replicas of `web`.
fn observed(app: &App) -> Observed {
    let revision = app.components[0].revision.to_string();
    let deployment = serde_json::from_value(json!({
        "metadata": {"name": format!("shop-web-{revision}"), "labels": {
            "scalableapp.dev/app": "shop", "scalableapp.dev/component": "web",
            "scalableapp.dev/revision": revision,
        }, "ownerReferences": [{
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": "shop", "uid": "1",
            "controller": true,
        }]},
        "spec": {"replicas": 2}, "status": {"replicas": 2, "readyReplicas": 2},
    }));
    let workloads = BTreeMap::from([(Kind::Deployment, Arc::new(vec![Arc::new(deployment.unwrap())]))]);
    Observed { workloads, ..Observed::default() }
}

/// A Prometheus whose database is slow from a moment on.
async fn prometheus() -> (Fake, Arc<AtomicBool>) {
    let slow = Arc::new(AtomicBool::new(false));
    let is_slow = Arc::clone(&slow);
    let fake = Fake::start(move |query| {
        let pick = |fine: &'static str, slow: &'static str| {
            if is_slow.load(Ordering::Relaxed) { slow } else { fine }
        };
        let web = |more: Value| {
            let mut labels = json!({"namespace": "shop", "scalableapp": "shop", "component": "web"});
            labels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            labels
        };
        let one = |value| vec![(web(json!({})), value)];
        let pool = |value| vec![(web(json!({"db_client_connection_pool_name": "write"})), value)];
        let le = |le: &str, value| (web(json!({"le": le})), value);
        Reply::Vector(if query.contains("db_client_operation_duration_seconds") {
            one(pick("0.01", "0.3"))
        } else if query.contains("db_client_connection_wait_time_seconds") {
            pool(pick("0.001", "0.2"))
        } else if query.contains("db_client_connection_count") {
            pool(pick("2", "10"))
        } else if query.contains("_bucket{") {
            vec![
                le("0.1", pick("99", "5")),
                le("0.5", pick("100", "20")),
                le("2.5", "100"),
                le("+Inf", "100"),
            ]
        } else if query.contains("5..") {
            one("0")
        } else if query.contains("time() - (min by (namespace, scalableapp, component)") {
            one("2")
        } else if query.contains("up{") {
            vec![(web(json!({"at": "start"})), "2"), (web(json!({"at": "end"})), "2")]
        } else if query.contains("rate(http_server_request_duration_seconds_count") {
            one("100")
        } else {
            vec![]
        })
    })
    .await;
    (fake, slow)
}

/// The operator's passes over one app.
struct Passes {
    app: App,
    plan: Arc<QueryPlan>,
    store: SampleStore,
    memory: DecideMemory,
    now: Timestamp,
    status: Option<ScalableAppStatus>,
    writes: usize,
}

impl Passes {
    fn of(app: App, store: SampleStore) -> Self {
        let plan = Arc::new(QueryPlan::of(std::slice::from_ref(&app)));
        let (memory, status) = (DecideMemory::default(), None);
        Self { app, plan, store, memory, now: now(), status, writes: 0 }
    }

    /// A tick and a pass, whose status is written if it is another one.
    async fn tick(&mut self) {
        self.now += SignedDuration::try_from(TICK).unwrap();
        tokio::time::pause();
        tokio::time::advance(TICK).await;
        tokio::time::resume();
        let samples = self.store.sample(&self.plan, self.now).await;
        let observed = observed(&self.app);
        let view = View::new(&observed, &samples, self.now);
        let pass = decide::pass(&self.app, self.status.as_ref(), view, &mut self.memory);
        let states: Vec<&ComponentState> = pass.components.iter().map(|one| &one.state).collect();
        let known = self.status.take();
        let update = || {
            let update = StatusUpdate::of(known.as_ref(), 1, &states, None);
            update.with_bottleneck(pass.bottleneck.as_ref())
        };
        if update().is_news(known.as_ref()) {
            self.writes += 1;
        }
        self.status = Some(update().status(known.as_ref(), self.now));
    }

    async fn ticks(&mut self, count: usize) {
        for _ in 0..count {
            self.tick().await;
        }
    }

    fn said(&self) -> Option<(String, String, String)> {
        let said = self.status.as_ref()?.bottleneck.as_ref()?;
        Some((said.component.clone(), said.cause.clone(), said.advice.clone()))
    }
}

#[tokio::test]
async fn a_slow_query_is_named_in_the_status_once_and_goes_when_it_is_repaired() {
    let (fake, slow) = prometheus().await;
    let mut passes = Passes::of(pooled(), fake.store(&[]));
    passes.ticks(50).await;
    assert_eq!(passes.said(), None);
    slow.store(true, Ordering::Relaxed);
    passes.ticks(10).await;
    let named = ["main", "DatabaseSlow", "Query"].map(str::to_owned).into();
    assert_eq!(passes.said(), Some(named));
    let message = passes.status.as_ref().unwrap().bottleneck.as_ref().unwrap().message.clone();
    assert!(message.contains("query_seconds of main 0.3, normally 0.01"), "{message}");
    let writes = passes.writes;
    passes.ticks(20).await;
    assert_eq!(passes.writes, writes, "what is said does not change with each measurement");
    slow.store(false, Ordering::Relaxed);
    passes.ticks(15).await;
    assert_eq!(passes.said(), None);
}

#[tokio::test]
async fn a_new_process_says_nothing_of_what_it_has_not_seen_begin() {
    let (fake, slow) = prometheus().await;
    slow.store(true, Ordering::Relaxed);
    let mut passes = Passes::of(pooled(), fake.store(&[]));
    for _ in 0..60 {
        passes.tick().await;
        assert_eq!(passes.said(), None);
    }
}

#[tokio::test]
async fn a_prometheus_that_fails_ends_no_verdict() {
    let (fake, slow) = prometheus().await;
    let mut passes = Passes::of(pooled(), fake.store(&[]));
    passes.ticks(50).await;
    slow.store(true, Ordering::Relaxed);
    passes.ticks(10).await;
    let said = passes.said();
    assert!(said.is_some());
    fake.respond(|_| Reply::Error(axum::http::StatusCode::SERVICE_UNAVAILABLE, ""));
    passes.ticks(30).await;
    assert_eq!(passes.said(), said);
}

#[tokio::test]
async fn what_no_app_can_have_is_not_queried_for_a_diagnosis() {
    let (fake, _) = prometheus().await;
    let asks = async |app: App| {
        let store = fake.store(&[]);
        Passes::of(app, store).tick().await;
        let queries = fake.take_queries();
        let count = |part: &str| queries.iter().filter(|query| query.contains(part)).count();
        [count("5.."), count("db_client_operation"), count("retry_attempts")]
    };
    assert_eq!(asks(pooled()).await, [1, 1, 0]);
    assert_eq!(asks(shop(&Value::Null)).await, [1, 0, 0]);
}
