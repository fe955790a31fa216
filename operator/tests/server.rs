//! What the HTTP server promises, over real sockets.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::collections::BTreeSet;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use kube::client::Body;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use scalableapp_operator::runtime::health::Health;
use scalableapp_operator::runtime::lease::{Candidate, Leadership};
use scalableapp_operator::runtime::live::{LiveApp, LiveComponent, LiveLatency, LiveMetric, LiveSource};
use scalableapp_operator::runtime::metrics::{self, Kind};
use scalableapp_operator::runtime::server::{Shown, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The Lease's API server: whoever creates the Lease gets it; `holder` has it from the start.
fn election(holder: Option<&'static str>) -> (Candidate, Leadership) {
    let service = tower::service_fn(move |request: http::Request<Body>| async move {
        let (status, body) = match (request.method().as_str(), holder) {
            ("GET", Some(holder)) => (StatusCode::OK, lease(holder)),
            ("GET", None) => (StatusCode::NOT_FOUND, not_found()),
            _ => (StatusCode::CREATED, serde_json::from_slice(&request.into_body().collect_bytes().await?)?),
        };
        Ok::<_, tower::BoxError>(
            Response::builder().status(status).body(Body::from(body.to_string().into_bytes()))?,
        )
    });
    Candidate::new(kube::Client::new(service, "operator"), "operator", "election", "operator-7f-abcde")
}

fn lease(holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "election", "resourceVersion": "1"},
        "spec": {"holderIdentity": holder, "renewTime": "2026-01-01T00:00:00.000000Z"},
    })
}

fn not_found() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "message": "", "code": 404})
}

struct Server {
    url: String,
    health: Health,
}

impl Server {
    async fn start(leadership: Leadership) -> Self {
        Self::with_metrics(leadership, PrometheusBuilder::new().build_recorder().handle()).await
    }

    async fn with_metrics(leadership: Leadership, metrics: PrometheusHandle) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server =
            Self { url: format!("http://{}", listener.local_addr().unwrap()), health: Health::default() };
        let shown = Shown { metrics, health: server.health.clone(), leadership, live: Arc::new(Shop) };
        tokio::spawn(serve(listener, shown, std::future::pending()));
        server
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let client = Client::builder(TokioExecutor::new()).build_http::<String>();
        let response = client.get(format!("{}{path}", self.url).parse().unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// One app, `shop` in `shop`.
struct Shop;

impl LiveSource for Shop {
    fn app<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Option<LiveApp>> {
        ready(((namespace, name) == ("shop", "shop")).then(shop)).boxed()
    }

    fn set_gauges(&self) {
        metrics::desired_replicas("shop", "shop", "web", 3);
    }
}

fn shop() -> LiveApp {
    LiveApp {
        app: "shop".to_owned(),
        namespace: "shop".to_owned(),
        observed_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        components: vec![LiveComponent {
            name: "web".to_owned(),
            desired: 3,
            ready: 2,
            current: 2,
            request_rate: Some(120.5),
            latency: Some(LiveLatency { p50: Some(0.02), p99: None }),
            metrics: vec![LiveMetric {
                name: "rps".to_owned(),
                value: "60.25/s per replica".to_owned(),
                target: "50/s per replica".to_owned(),
                quality: "Fresh".to_owned(),
                proposal: Some(3),
            }],
            reason: "MetricAboveTarget".to_owned(),
            message: "rps is above its target".to_owned(),
        }],
    }
}

#[tokio::test]
async fn leader_and_standby_are_ready_alike_once_synced() {
    let (_candidate, leadership) = election(None);
    let server = Server::start(leadership).await;
    assert_eq!(server.get("/readyz").await.0, 503);
    server.health.mark_synced();
    assert_eq!(server.get("/readyz").await, (200, "ok".to_owned()));
    assert_eq!(server.get("/livez").await, (200, "ok".to_owned()));
}

#[tokio::test]
async fn a_standby_names_the_leaders_pod() {
    let (candidate, leadership) = election(Some("operator-7f-xyz12_0a1b2c3d"));
    let server = Server::start(leadership).await;
    tokio::spawn(candidate.run(std::future::pending()));
    let expected = (503, r#"{"error":"not the leader","leader":"operator-7f-xyz12"}"#.to_owned());
    let mut answer = server.get("/v1/apps/shop/shop").await;
    for _ in 0..100 {
        if answer == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = server.get("/v1/apps/shop/shop").await;
    }
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn the_leader_shows_live_measurements_as_documented() {
    let (candidate, leadership) = election(None);
    let server = Server::start(leadership.clone()).await;
    tokio::spawn(candidate.run(std::future::pending()));
    tokio::time::timeout(Duration::from_secs(10), leadership.gained()).await.unwrap();
    let (status, body) = server.get("/v1/apps/shop/shop").await;
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({
            "app": "shop", "namespace": "shop", "observedAt": "2026-01-01T00:00:00Z",
            "components": [{
                "name": "web", "desired": 3, "ready": 2, "current": 2,
                "requestRate": 120.5, "latency": {"p50": 0.02, "p99": null},
                "metrics": [{
                    "name": "rps", "value": "60.25/s per replica", "target": "50/s per replica",
                    "quality": "Fresh", "proposal": 3,
                }],
                "reason": "MetricAboveTarget", "message": "rps is above its target",
            }],
        })
    );
    assert_eq!(server.get("/v1/apps/shop/blog").await, (404, r#"{"error":"no such app"}"#.to_owned()));
}

#[tokio::test]
async fn every_documented_metric_is_served_and_no_other() {
    let handle = metrics::install().unwrap();
    metrics::reconciled(Duration::from_millis(3));
    metrics::reconcile_failed("Conflict");
    metrics::decided(1, 2);
    metrics::tick_began(Duration::ZERO);
    metrics::queried("request_rate", Duration::from_millis(3), "ok");
    metrics::wrote("Deployment", "ok");
    let (_candidate, leadership) = election(None);
    let (_, page) = Server::with_metrics(leadership, handle).await.get("/metrics").await;
    let served: BTreeSet<(&str, &str)> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let documented: BTreeSet<(&str, &str)> = metrics::DESCRIPTIONS
        .iter()
        .map(|one| {
            let kind = match one.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            (one.name, kind)
        })
        .collect();
    assert_eq!(served, documented);
    for one in metrics::DESCRIPTIONS {
        assert!(page.contains(&format!("# HELP {} {}", one.name, one.help)), "{}", one.name);
        for label in one.labels {
            let labelled = |line: &str| line.starts_with(one.name) && line.contains(&format!("{label}=\""));
            assert!(page.lines().any(labelled), "{} has no label {label}", one.name);
        }
    }
}
