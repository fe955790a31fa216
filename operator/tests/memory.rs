//! The operator as a process, against an API server whose tenants write as much as they can: it stays within the
//! chart's memory limit, and the apps of others are reconciled.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use futures::stream;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// The chart's limit.
const LIMIT_KIB: u64 = 128 * 1024;
/// No operation here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Path and body of each write.
type Written = Arc<Mutex<Vec<(String, Value)>>>;

/// Killed at the end of the test.
struct Operator(Child);

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Operator {
    fn start(server: &str, folder: &std::path::Path) -> Self {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        let kubeconfig = folder.join("config");
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let port =
            || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let child = Command::new(env!("CARGO_BIN_EXE_scalableapp-operator"))
            .args(["--identity", "one", "--lease-namespace", "operator"])
            .args(["--prometheus-url", "http://127.0.0.1:1"])
            .args(["--http-port", &port(), "--probe-port", &port()])
            .env("KUBECONFIG", kubeconfig)
            // As the chart sets it.
            .env("MALLOC_MMAP_THRESHOLD_", "65536")
            .stdin(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// Its peak memory.
    fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

async fn answer(State(written): State<Written>, method: Method, uri: Uri, body: String) -> Response {
    let query = uri.query().unwrap_or_default();
    if query.contains("watch=true") {
        return Response::new(Body::from_stream(stream::pending::<Result<String, std::io::Error>>()));
    }
    if method == Method::GET && query.contains("limit=") {
        return Response::new(Body::from(page(uri.path(), query)));
    }
    if method == Method::GET {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
        return Response::builder()
            .status(StatusCode::NOT_FOUND)
            .body(Body::from(status.to_string()))
            .unwrap();
    }
    let mut object: Value = serde_json::from_str(&body).unwrap_or_default();
    written.lock().unwrap().push((uri.path().to_owned(), object.clone()));
    object["metadata"]["resourceVersion"] = json!("1");
    Response::new(Body::from(object.to_string()))
}

/// Objects of a kind from the token to the limit.
fn page(path: &str, query: &str) -> String {
    let parameter = |name: &str| {
        let value = query.split('&').find_map(|one| one.strip_prefix(name));
        value.and_then(|value| value.parse::<usize>().ok())
    };
    let (first, limit) = (parameter("continue=").unwrap_or(0), parameter("limit=").unwrap());
    let objects = objects(path.ends_with("/scalableapps"));
    let items: Vec<&Value> = objects.iter().skip(first).take(limit).collect();
    let next = (first + limit < objects.len()).then(|| (first + limit).to_string());
    json!({"metadata": {"resourceVersion": "1", "continue": next}, "items": items}).to_string()
}

/// As many and as large objects as fit a page of each kind.
fn objects(are_apps: bool) -> Vec<Value> {
    let spec = |volumes: Vec<Value>| {
        let template = json!({"spec": {"volumes": volumes}});
        json!({
            "image": "shop:1", "services": [{"name": "web", "port": 80, "podTemplate": template}],
            // Fields that a pod, a Service or a NetworkPolicy may have many of.
            "containers": [], "ports": if are_apps { Vec::new() } else { volumes },
        })
    };
    let object = |name: &str, labels: Map<String, Value>, spec: &Value| {
        json!({"metadata": {"name": name, "namespace": "store", "uid": name, "resourceVersion": "1", "generation": 1,
            "labels": labels}, "spec": spec})
    };
    let labels: Map<String, Value> = (0..100_000).map(|index| (format!("l{index}"), json!(""))).collect();
    let none = || spec(Vec::new());
    let mut objects = vec![
        object("volumes", Map::new(), &spec(vec![json!({}); 200_000])),
        object("labels", labels, &none()),
    ];
    let most = if are_apps { 30_000 } else { 15_000 };
    let values = spec(vec![json!({"a": 1}); most]);
    objects.extend((0..8).map(|index| object(&format!("values-{index}"), Map::new(), &values)));
    if are_apps {
        objects.push(object("shop", Map::new(), &none()));
    }
    objects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_write_as_much_as_they_can_stop_nobody() {
    let written = Written::default();
    let router = Router::new().fallback(answer).with_state(Arc::clone(&written));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    let folder = tempfile::tempdir().unwrap();
    let operator = Operator::start(&server, folder.path());
    let end = Instant::now() + PATIENCE;
    let reason = |app: &str, reason: &str| {
        let path = format!("/apis/scalableapp.dev/v1alpha1/namespaces/store/scalableapps/{app}/status");
        let written = written.lock().unwrap();
        written.iter().any(|(at, body)| *at == path && body.to_string().contains(&format!("\"{reason}\"")))
    };
    let has_deployment = || {
        let written = written.lock().unwrap();
        written.iter().any(|(at, _)| at.contains("/namespaces/store/deployments/shop-web-"))
    };
    let is_done = || {
        has_deployment()
            && reason("volumes", "TooLarge")
            && reason("labels", "TooLarge")
            && reason("values-7", "InvalidSpec")
    };
    while !is_done() {
        assert!(Instant::now() < end, "it did not come so far, at {} KiB", operator.peak_kib());
        sleep(Duration::from_millis(200)).await;
    }
    let peak = operator.peak_kib();
    println!("peak {peak} KiB");
    assert!(peak < LIMIT_KIB, "it took {peak} KiB");
}
