//! The HTTP servers, over real sockets.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::collections::BTreeSet;
use std::future::ready;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Response, StatusCode};
use kube::client::Body;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use scalableapp_crds::{LiveApp, LiveComponent, LiveLatency, LiveMetric, live_path};
use scalableapp_operator::runtime::front_proxy::{Admission, Gate};
use scalableapp_operator::runtime::health::Health;
use scalableapp_operator::runtime::lease::{Candidate, Leadership};
use scalableapp_operator::runtime::listener::{HEAD_BYTES, listen};
use scalableapp_operator::runtime::live::LiveSource;
use scalableapp_operator::runtime::metrics::{self, MetricKind};
use scalableapp_operator::runtime::server::{Listeners, ServerState, Serving};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

/// Far longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The API server of the Lease: whoever creates the Lease gets it; `holder` has it from the start.
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

/// The servers, on their own threads as in the operator. They stop when this is dropped.
struct Servers {
    probes: SocketAddr,
    metrics: SocketAddr,
    live: SocketAddr,
    health: Health,
    front_proxy: watch::Sender<Option<Arc<Admission>>>,
    stop: CancellationToken,
}

impl Servers {
    fn start(leadership: Leadership) -> Self {
        Self::with_metrics(leadership, PrometheusBuilder::new().build_recorder().handle())
    }

    fn with_metrics(leadership: Leadership, metrics: PrometheusHandle) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (probes, http, live) = (listen(0).unwrap(), listen(0).unwrap(), listen(0).unwrap());
        let address = |listener: &std::net::TcpListener| {
            SocketAddr::from((Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()))
        };
        let (front_proxy, gate) = Gate::new();
        let servers = Self {
            probes: address(&probes),
            metrics: address(&http),
            live: address(&live),
            health: Health::default(),
            front_proxy,
            stop: CancellationToken::new(),
        };
        let shown = ServerState { metrics, health: servers.health.clone(), leadership, live: Arc::new(Shop) };
        let listeners = Listeners { probes, metrics: http, live: Some((live, gate)) };
        Serving::start(listeners, &shown, &servers.stop).unwrap();
        servers
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Sends a request without yielding to any task of the test: only servers on other threads can answer.
fn get(server: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    parse(&answer)
}

fn parse(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The authority of the front proxy, another authority, and the API server's certificate for the operator.
struct Authorities {
    front_proxy: CertifiedIssuer<'static, KeyPair>,
    stranger: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
    roots: RootCertStore,
}

impl Authorities {
    fn new() -> Self {
        let authority = |name| {
            let mut parameters = CertificateParams::new(Vec::new()).unwrap();
            parameters.distinguished_name.push(DnType::CommonName, name);
            parameters.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
        };
        let chart = authority("chart");
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["operator".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &chart).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tls.crt"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(chart.der().clone()).unwrap();
        Self { front_proxy: authority("front-proxy"), stranger: authority("front-proxy"), folder, roots }
    }

    fn admission(&self, names: &str) -> Option<Arc<Admission>> {
        let folder: &Path = self.folder.path();
        Some(Arc::new(Admission::new(&self.front_proxy.pem(), names, folder).unwrap()))
    }

    /// A client with a certificate of this name, or without one.
    fn client(&self, issuer: Option<&CertifiedIssuer<'static, KeyPair>>, name: &str) -> TlsConnector {
        let config = ClientConfig::builder().with_root_certificates(self.roots.clone());
        let config = match issuer {
            None => config.with_no_client_auth(),
            Some(issuer) => {
                let mut parameters = CertificateParams::new(Vec::new()).unwrap();
                parameters.distinguished_name.push(DnType::CommonName, name);
                let key = KeyPair::generate().unwrap();
                let certificate = parameters.signed_by(&key, issuer).unwrap();
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                config.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }

    fn api_server(&self) -> TlsConnector {
        self.client(Some(&self.front_proxy), "front-proxy-client")
    }
}

const NAMES: &str = r#"["front-proxy-client"]"#;

/// The answer to a client over TLS; `None` if it is not admitted.
async fn get_live(client: &TlsConnector, server: SocketAddr, path: &str) -> Option<(u16, String)> {
    let asked = async {
        let stream = tokio::net::TcpStream::connect(server).await?;
        let mut stream = client.connect(ServerName::try_from("operator").unwrap(), stream).await?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await.unwrap().ok()?;
    (!answer.is_empty()).then(|| parse(&answer))
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
        observed_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        diagnosis: None,
        components: vec![LiveComponent {
            name: "web".to_owned(),
            desired: 3,
            ready: 2,
            current: 2,
            request_rate: Some(120.5),
            latency: Some(LiveLatency { p50: Some(0.02), p99: None }),
            backlog: None,
            cache: None,
            rollout: None,
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
    let servers = Servers::start(leadership);
    assert_eq!(get(servers.probes, "/readyz").0, 503);
    servers.health.mark_synced();
    assert_eq!(get(servers.probes, "/readyz"), (200, "ok".to_owned()));
    assert_eq!(get(servers.probes, "/livez"), (200, "ok".to_owned()));
}

#[tokio::test]
async fn what_is_measured_of_apps_is_on_no_port_that_everybody_reaches() {
    let (_candidate, leadership) = election(None);
    let servers = Servers::start(leadership);
    for path in ["/v1/apps/shop/shop".to_owned(), live_path("shop", "shop")] {
        assert_eq!(get(servers.metrics, &path).0, 404);
        assert_eq!(get(servers.probes, &path).0, 404);
    }
    assert_eq!(get(servers.probes, "/metrics").0, 404);
}

/// The head of a request that never ends.
fn endless_head(bytes: usize) -> Vec<u8> {
    let mut head = b"GET /metrics HTTP/1.1\r\nhost: operator\r\nx: ".to_vec();
    head.resize(bytes, b'x');
    head
}

/// The answer of a server to this input, until it closes the connection.
fn answer_to(server: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The server may close before everything is sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_head_without_end_is_given_up() {
    let (_candidate, leadership) = election(None);
    let servers = Servers::start(leadership);
    let ports = [servers.probes, servers.metrics, servers.live];
    let silent = ports.map(|port| std::thread::spawn(move || answer_to(port, b"")));
    let begun = ports.map(|port| std::thread::spawn(move || answer_to(port, &endless_head(100))));
    for connection in silent.into_iter().chain(begun) {
        let answer = connection.join().unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_that_asks_nothing_more_is_closed() {
    let (_candidate, leadership) = election(None);
    let servers = Servers::start(leadership);
    let answer = answer_to(servers.metrics, b"GET /metrics HTTP/1.1\r\nhost: operator\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let (_candidate, leadership) = election(None);
    let servers = Servers::start(leadership);
    for port in [servers.probes, servers.metrics] {
        let answer = answer_to(port, &endless_head(HEAD_BYTES + 1));
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

/// Whether the server has closed a connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .map_or_else(|error| error.kind() != std::io::ErrorKind::WouldBlock, |_| true)
}

#[tokio::test]
async fn a_client_that_holds_connections_keeps_nobody_out() {
    let (_candidate, leadership) = election(None);
    let servers = Servers::start(leadership);
    let authorities = Authorities::new();
    servers.front_proxy.send_replace(authorities.admission(NAMES));
    let mut held = Vec::new();
    for port in [servers.probes, servers.metrics, servers.live] {
        for _ in 0..200 {
            let mut stream = TcpStream::connect(port).unwrap();
            // A server may refuse input after its limit.
            let _ = stream.write_all(&endless_head(100));
            held.push(stream);
        }
    }
    assert_eq!(get(servers.probes, "/livez").0, 200);
    assert_eq!(get(servers.metrics, "/metrics").0, 200);
    let live = get_live(&authorities.api_server(), servers.live, "/apis/live.scalableapp.dev/v1alpha1").await;
    assert_eq!(live.unwrap().0, 200);
    let open = held.iter_mut().filter_map(|stream| (!is_closed(stream)).then_some(())).count();
    assert!(open <= 64 + 16 + 32, "{open} connections are held");
}

#[tokio::test]
async fn a_standby_names_the_leaders_pod_and_lets_the_next_connection_find_it() {
    let (candidate, leadership) = election(Some("operator-7f-xyz12_0a1b2c3d"));
    let servers = Servers::start(leadership);
    let authorities = Authorities::new();
    servers.front_proxy.send_replace(authorities.admission(NAMES));
    tokio::spawn(candidate.run(std::future::pending()));
    let message = "this replica of the operator does not lead; the leader is operator-7f-xyz12";
    for _ in 0..500 {
        let answer = get_live(&authorities.api_server(), servers.live, &live_path("shop", "shop")).await;
        let (code, status) = answer.unwrap();
        let status: Value = serde_json::from_str(&status).unwrap();
        assert_eq!((code, &status["kind"], &status["code"]), (503, &json!("Status"), &json!(503)));
        if status["message"] == message {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no answer names the leader");
}

#[tokio::test]
async fn the_leader_shows_live_measurements_as_documented() {
    let (candidate, leadership) = election(None);
    let servers = Servers::start(leadership.clone());
    let authorities = Authorities::new();
    servers.front_proxy.send_replace(authorities.admission(NAMES));
    tokio::spawn(candidate.run(std::future::pending()));
    tokio::time::timeout(Duration::from_secs(10), leadership.gained()).await.unwrap();
    let ask = async |path: String| {
        let (code, body) = get_live(&authorities.api_server(), servers.live, &path).await.unwrap();
        (code, serde_json::from_str::<Value>(&body).unwrap())
    };
    let shop = json!({
        "apiVersion": "live.scalableapp.dev/v1alpha1", "kind": "LiveApp",
        "metadata": {"namespace": "shop", "name": "shop"}, "observedAt": "2026-01-01T00:00:00Z",
        "components": [{
            "name": "web", "desired": 3, "ready": 2, "current": 2,
            "requestRate": 120.5, "latency": {"p50": 0.02, "p99": null},
            "metrics": [{
                "name": "rps", "value": "60.25/s per replica", "target": "50/s per replica",
                "quality": "Fresh", "proposal": 3,
            }],
            "reason": "MetricAboveTarget", "message": "rps is above its target",
        }],
    });
    assert_eq!(ask(live_path("shop", "shop")).await, (200, shop));
    let (code, status) = ask(live_path("shop", "blog")).await;
    let message = "ScalableApp shop/blog does not exist or was not measured yet";
    assert_eq!((code, &status["reason"], &status["message"]), (404, &json!("NotFound"), &json!(message)));
    let (code, resources) = ask("/apis/live.scalableapp.dev/v1alpha1".to_owned()).await;
    assert_eq!((code, &resources["resources"][0]["verbs"]), (200, &json!(["get"])));
}

#[tokio::test]
async fn nobody_but_the_front_proxy_is_let_in() {
    let (_candidate, leadership) = election(None);
    let servers = Servers::start(leadership);
    let authorities = Authorities::new();
    let (proxy, stranger) = (Some(&authorities.front_proxy), Some(&authorities.stranger));
    let ask = async |issuer, name| {
        let client = authorities.client(issuer, name);
        get_live(&client, servers.live, "/apis/live.scalableapp.dev/v1alpha1").await.map(|(code, _)| code)
    };
    assert_eq!(ask(proxy, "front-proxy-client").await, None, "nothing is known of the front proxy yet");
    servers.front_proxy.send_replace(authorities.admission(NAMES));
    assert_eq!(ask(proxy, "front-proxy-client").await, Some(200));
    assert_eq!(ask(proxy, "somebody").await, None, "its authority signs for others too");
    assert_eq!(ask(stranger, "front-proxy-client").await, None);
    assert_eq!(ask(None, "").await, None);
    servers.front_proxy.send_replace(authorities.admission("[]"));
    assert_eq!(ask(proxy, "somebody").await, Some(200), "no list of names admits every name");
    assert_eq!(ask(stranger, "somebody").await, None);
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
    metrics::condition("shop", "shop", "Ready", "False", "PodsNotReady");
    metrics::bottleneck("shop", "shop", "main", "DatabaseSlow");
    metrics::rollout_phase("shop", "shop", "web", "Progressing");
    metrics::rollout_step("shop", "shop", "web", 25, 0.0);
    metrics::rollout_ended(true, "evidence");
    metrics::rollout_ended(false, "person");
    metrics::compared(24, 1);
    metrics::canary_evidence(("shop", "shop", "web"), "errors", "worse", 0.5);
    let (_candidate, leadership) = election(None);
    let (_, page) = get(Servers::with_metrics(leadership, handle).metrics, "/metrics");
    let served: BTreeSet<(&str, &str)> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let documented: BTreeSet<(&str, &str)> = metrics::DESCRIPTIONS
        .iter()
        .map(|one| {
            let kind = match one.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
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
