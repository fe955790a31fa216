//! One query: its request, and the message of its failure.

use axum::http::StatusCode;
use scalableapp_operator::observe::prometheus::client::{Prometheus, QueryError};
use tokio::net::TcpListener;

use crate::fake::{Fake, Reply, args, healthy};

#[tokio::test]
async fn each_failure_is_one_sentence_that_says_what_to_do() {
    let fake = Fake::start(healthy).await;
    let query = async |respond: Reply, more: &[&str]| {
        fake.respond(move |_| respond.clone());
        let prometheus = Prometheus::new(&fake.args(more)).unwrap();
        prometheus.query("test", "up").await.map(|_| ()).unwrap_err().to_string()
    };
    let server = fake.url.strip_prefix("http://").unwrap();
    let html = Reply::Body("<html>Welcome, the password is hunter2</html>");
    assert_eq!(
        query(html, &[]).await,
        format!("failed to read the answer of {server} as Prometheus' JSON; check --prometheus-url")
    );
    assert_eq!(
        query(Reply::Error(StatusCode::UNAUTHORIZED, "hunter2"), &[]).await,
        format!(
            "failed to query Prometheus at {server}: it answered 401 Unauthorized; check --prometheus-token-file, and --prometheus-header where the server has tenants"
        )
    );
    assert_eq!(
        query(Reply::Never, &["--prometheus-timeout", "100ms"]).await,
        format!("failed to get an answer from Prometheus at {server} within 100ms")
    );
    assert_eq!(
        query(Reply::Huge, &[]).await,
        "failed to read an answer of more than 8192 KiB; export fewer series: fewer buckets of histograms, and fewer values of labels such as http_route"
    );
    fake.respond(|_| Reply::Huge);
    let own = Prometheus::new(&fake.args(&[])).unwrap().query_values("test", "up").await;
    assert_eq!(
        own.map(|_| ()).unwrap_err().to_string(),
        "failed to read an answer of more than 256 KiB; make the query return one series, or for a circuit one for each pod"
    );
    let rejected = r#"{"status":"error","errorType":"execution","error":"hunter2"}"#;
    assert_eq!(
        query(Reply::Error(StatusCode::UNPROCESSABLE_ENTITY, rejected), &[]).await,
        "failed to run the query: Prometheus rejects it as execution"
    );
    assert_eq!(
        query(Reply::RedirectTo("http://127.0.0.1:1/".to_owned()), &[]).await,
        format!("failed to query Prometheus at {server}: it answered 307 Temporary Redirect")
    );
}

#[tokio::test]
async fn a_server_that_is_down_is_named_with_the_cause() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let args = args(&format!("http://{address}/"), &[]);
    let error = Prometheus::new(&args).unwrap().query("test", "up").await.unwrap_err();
    assert!(matches!(error, QueryError::Unreachable { .. }));
    assert_eq!(
        error.to_string(),
        format!("failed to reach Prometheus at {address}: Connection refused (os error 111)")
    );
}

#[tokio::test]
async fn the_token_is_read_for_each_request() {
    let fake = Fake::start(healthy).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "first\n").unwrap();
    let prometheus =
        Prometheus::new(&fake.args(&["--prometheus-token-file", path.to_str().unwrap()])).unwrap();
    prometheus.query("test", "up").await.unwrap();
    std::fs::write(&path, "second\n").unwrap();
    prometheus.query("test", "up").await.unwrap();
    assert_eq!(fake.received("authorization"), ["Bearer first", "Bearer second"]);
    std::fs::remove_file(&path).unwrap();
    let error = prometheus.query("test", "up").await.unwrap_err().to_string();
    assert!(error.starts_with("failed to read the token in "), "{error}");
}

#[tokio::test]
async fn a_server_with_tenants_and_a_path_of_its_own_is_asked_as_it_wants() {
    let fake = Fake::start(healthy).await;
    let mut args = fake.args(&["--prometheus-header", "X-Scope-OrgID: team-a"]);
    args.url.push_str("/prometheus/");
    let prometheus = Prometheus::new(&args).unwrap();
    prometheus.query("test", "up").await.unwrap();
    assert_eq!(fake.received("x-scope-orgid"), ["team-a"]);
}

#[tokio::test]
async fn half_of_the_data_is_never_asked_for() {
    let fake = Fake::start(healthy).await;
    let prometheus = Prometheus::new(&fake.args(&[])).unwrap();
    prometheus.query("test", "up").await.unwrap();
    assert_eq!(fake.parameters("partial_response"), [Some("false".to_owned())]);
}

#[tokio::test]
async fn a_bad_url_or_certificate_is_refused_at_the_start() {
    let refusal = |url: &str, more: &[&str]| Prometheus::new(&args(url, more)).err().unwrap().to_string();
    for url in ["prometheus:9090", "ftp://prometheus", "http://", "/api"] {
        assert_eq!(
            refusal(url, &[]),
            "failed to read --prometheus-url; write for example http://prometheus:9090"
        );
    }
    assert_eq!(
        refusal("http://user:hunter2@prometheus:9090", &[]),
        "failed to use the user name in --prometheus-url; give a token by --prometheus-token-file"
    );
    let ca_file = |path: &str| refusal("https://prometheus:9090", &["--prometheus-ca-file", path]);
    assert_eq!(ca_file("missing.pem"), "failed to read the certificates in missing.pem");
    assert_eq!(ca_file("Cargo.toml"), "failed to find PEM certificates in Cargo.toml");
}
