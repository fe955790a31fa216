//! Traces: spans reach the endpoint in the environment. One test, because a process has one subscriber.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use scalableapp_operator::runtime::args::LogFormat;
use scalableapp_operator::runtime::telemetry::Telemetry;
use tokio::net::TcpListener;

#[test]
fn spans_reach_the_endpoint_of_the_environment() {
    const CHILD: &str = "TELEMETRY_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return export();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let bodies: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let endpoint = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::clone(&bodies);
        let collect = post(async move |body: Bytes| received.lock().unwrap().push(body));
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/traces", collect)).await });
        endpoint
    });
    // The environment of a process with threads cannot be changed safely, so a child process gets it.
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "spans_reach_the_endpoint_of_the_environment", "--nocapture"])
        .env(CHILD, "1")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("RUST_LOG", "info")
        .status()
        .unwrap();
    assert!(status.success());
    let body = bodies.lock().unwrap().concat();
    let contains = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("reconcile"), "no span arrived");
    assert!(contains("scalableapp-operator"), "the service has no name");
}

fn export() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let telemetry = Telemetry::start(LogFormat::Json).unwrap();
        tracing::info_span!("reconcile", app = "shop").in_scope(|| tracing::info!("inside"));
        tokio::time::sleep(Duration::from_millis(1)).await;
        telemetry.stop();
    });
}
