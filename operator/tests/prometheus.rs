//! What sampling promises, against a server that answers as Prometheus does, or as it should not.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Parser;
use jiff::{SignedDuration, Timestamp, ToSpan};
use scalableapp_engine::sample::{Quality, Reading, judge};
use scalableapp_operator::observe::pods::SeenPod;
use scalableapp_operator::observe::prometheus::{Prometheus, QueryError, TEMPLATE_LIMIT};
use scalableapp_operator::observe::samples::{SampleStore, Samples};
use scalableapp_operator::observe::wanted::{ComponentKey, CustomQuery, Signal, Source, Wanted};
use scalableapp_operator::runtime::args::{Args, PrometheusArgs};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Clone)]
enum Reply {
    /// An instant vector: the labels and the value of each series.
    Vector(Vec<(Value, &'static str)>),
    Body(&'static str),
    Error(StatusCode, &'static str),
    RedirectTo(String),
    Never,
    Huge,
}

type Respond = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

#[derive(Clone)]
struct Fake {
    url: String,
    respond: Arc<Mutex<Respond>>,
    queries: Arc<Mutex<Vec<String>>>,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Fake {
    async fn start(respond: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            respond: Arc::new(Mutex::new(Arc::new(respond))),
            queries: Arc::default(),
            headers: Arc::default(),
        };
        let router = Router::new()
            .route("/api/v1/query", post(answer))
            // Where Mimir serves the same API.
            .route("/prometheus/api/v1/query", post(answer))
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    fn respond(&self, respond: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        *self.respond.lock().unwrap() = Arc::new(respond);
    }

    fn take_queries(&self) -> Vec<String> {
        std::mem::take(&mut self.queries.lock().unwrap())
    }

    /// The values of a header, one for each query.
    fn received(&self, name: &str) -> Vec<String> {
        let headers = self.headers.lock().unwrap();
        headers.iter().map(|headers| headers[name].to_str().unwrap().to_owned()).collect()
    }

    fn args(&self, more: &[&str]) -> PrometheusArgs {
        args(&self.url, more)
    }

    fn store(&self, more: &[&str]) -> SampleStore {
        let args = self.args(more);
        SampleStore::new(Prometheus::new(&args).unwrap(), &args).unwrap()
    }
}

async fn answer(State(fake): State<Fake>, headers: HeaderMap, body: String) -> Response {
    let query =
        form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "query").unwrap().1.into_owned();
    fake.queries.lock().unwrap().push(query.clone());
    fake.headers.lock().unwrap().push(headers);
    let respond = Arc::clone(&fake.respond.lock().unwrap());
    match respond(&query) {
        Reply::Vector(series) => {
            let result: Vec<Value> = series
                .iter()
                .map(|(labels, value)| json!({"metric": labels, "value": [1_700_000_000.0, value]}))
                .collect();
            let answer = json!({"status": "success", "data": {"resultType": "vector", "result": result}, "warnings": ["one"]});
            axum::Json(answer).into_response()
        }
        Reply::Body(body) => body.into_response(),
        Reply::Error(status, body) => (status, body).into_response(),
        Reply::RedirectTo(url) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, url)]).into_response(),
        Reply::Never => std::future::pending().await,
        Reply::Huge => "x".repeat(TEMPLATE_LIMIT + 1).into_response(),
    }
}

fn args(url: &str, more: &[&str]) -> PrometheusArgs {
    let given = ["operator", "--lease-namespace", "operator", "--prometheus-url", url];
    Args::parse_from(given.iter().chain(more)).prometheus
}

fn component(index: usize) -> ComponentKey {
    ComponentKey::new(&format!("team-{}", index % 5), &format!("app-{index}"), "web")
}

/// Apps that use every signal.
fn apps(count: usize) -> Wanted {
    let sources = BTreeMap::from([
        ("rps".to_owned(), Source::Component(Signal::RequestRate)),
        ("p99".to_owned(), Source::Quantile(0.99)),
        ("cpu".to_owned(), Source::Pods(Signal::Cpu)),
        ("memory".to_owned(), Source::Pods(Signal::Memory)),
    ]);
    Wanted {
        components: (0..count).map(|index| (component(index), sources.clone())).collect(),
        ..Wanted::default()
    }
}

/// One app with one metric of its own query.
fn custom(text: &str) -> Wanted {
    let query = CustomQuery { namespace: "team-0".to_owned(), text: text.to_owned() };
    let sources = BTreeMap::from([("carts".to_owned(), Source::Custom(query))]);
    Wanted { components: BTreeMap::from([(component(0), sources)]), ..Wanted::default() }
}

/// What a healthy Prometheus says of component 0 and its one pod, measured 7 s ago.
fn healthy(query: &str) -> Reply {
    let labels = json!({"namespace": "team-0", "scalableapp": "app-0", "component": "web"});
    let pod = json!({"namespace": "team-0", "pod": "web-1"});
    let container = json!({"namespace": "team-0", "pod": "web-1", "container": "web"});
    let bucket =
        |le: &str| json!({"namespace": "team-0", "scalableapp": "app-0", "component": "web", "le": le});
    Reply::Vector(if query.starts_with("time() - min by (namespace, scalableapp, component)") {
        vec![(labels, "7")]
    } else if query.starts_with("time() - min by (namespace, pod)") {
        vec![(pod, "7")]
    } else if query.contains("up{") {
        vec![(labels, "1")]
    } else if query.contains("_bucket{") {
        vec![(bucket("0.1"), "50"), (bucket("0.5"), "100"), (bucket("+Inf"), "100")]
    } else if query.contains("_count{") {
        vec![(labels, "100")]
    } else if query.contains("container_cpu") {
        vec![(container, "0.2501")]
    } else if query.contains("container_memory") {
        vec![(container, "1048576")]
    } else {
        vec![(json!({}), "42")]
    })
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn reading(samples: &Samples, metric: &str) -> Option<Reading> {
    let key = component(0);
    samples.readings(&key.namespace, &key.app, &key.component, &[], now()).remove(metric)
}

/// Ticks until the own query of a component was answered, because a late answer counts from the next tick on.
async fn answered(store: &SampleStore, wanted: &Wanted, key: &ComponentKey) -> Arc<Samples> {
    let ticks = async {
        loop {
            let samples = store.sample(wanted, now()).await;
            let reading =
                samples.readings(&key.namespace, &key.app, &key.component, &[], now()).remove("carts");
            if reading.is_some_and(|reading| reading.at.is_some()) {
                return samples;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ticks).await.unwrap()
}

fn quality(samples: &Samples, metric: &str, now: Timestamp) -> Quality {
    match judge(reading(samples, metric).as_ref(), now, samples.max_age()) {
        Ok(_) => Quality::Fresh,
        Err(unfit) => unfit.quality(),
    }
}

fn problem(samples: &Samples, metric: &str) -> String {
    samples.problem(&component(0), metric, ["web-1"]).unwrap_or_default()
}

fn pod(name: &str, containers: usize) -> SeenPod {
    let containers: Vec<Value> = (0..containers).map(|index| json!({"name": index.to_string()})).collect();
    serde_json::from_value(
        json!({"metadata": {"namespace": "team-0", "name": name}, "spec": {"containers": containers}}),
    )
    .unwrap()
}

#[tokio::test]
async fn samples_carry_the_age_of_what_was_scraped() {
    let fake = Fake::start(healthy).await;
    let at = now();
    let samples = fake.store(&[]).sample(&apps(1), at).await;
    let rate = reading(&samples, "rps").unwrap();
    assert_eq!((rate.values, rate.at), (vec![100.0], Some(at - 7.seconds())));
    assert_eq!(rate.coverage.map(|coverage| coverage.reporting), Some(1));
    let p99 = reading(&samples, "p99").unwrap().values[0];
    assert!((p99 - 0.492).abs() < 1e-9, "{p99}");
    let usage = samples.usage(&pod("web-1", 1));
    let cpu = usage.cpu.unwrap();
    assert_eq!((cpu.milli, cpu.at, cpu.window), (251, at - 7.seconds(), SignedDuration::from_secs(120)));
    assert_eq!(usage.memory.unwrap().milli, 1_048_576_000);
}

#[tokio::test]
async fn a_pod_counts_only_when_every_container_was_measured() {
    let fake = Fake::start(healthy).await;
    let samples = fake.store(&[]).sample(&apps(1), now()).await;
    assert!(samples.usage(&pod("web-1", 2)).cpu.is_none());
    assert!(samples.usage(&pod("web-2", 1)).cpu.is_none());
}

#[tokio::test]
async fn many_apps_cost_as_many_queries_as_one() {
    let fake = Fake::start(healthy).await;
    let store = fake.store(&[]);
    store.sample(&apps(1), now()).await;
    let one = fake.take_queries();
    store.sample(&apps(500), now()).await;
    let many = fake.take_queries();
    assert_eq!((one.len(), many.len()), (8, 8), "{many:#?}");
}

#[tokio::test]
async fn what_no_app_uses_is_not_asked_for() {
    let fake = Fake::start(healthy).await;
    let samples = answered(&fake.store(&[]), &custom("carts_open"), &component(0)).await;
    assert_eq!(fake.take_queries(), ["carts_open{namespace=\"team-0\"}"]);
    assert_eq!(reading(&samples, "carts").unwrap().values, [42.0]);
}

#[tokio::test]
async fn a_component_without_series_is_absent_and_not_zero() {
    let fake = Fake::start(|_| Reply::Vector(vec![])).await;
    let samples = fake.store(&[]).sample(&apps(1), now()).await;
    assert_eq!(quality(&samples, "rps", now()), Quality::Absent);
    assert_eq!(reading(&samples, "rps"), None);
}

#[tokio::test]
async fn a_component_without_series_is_told_what_its_scrape_job_lacks() {
    let bare = json!({"namespace": "team-0", "pod": "web-1", "scalableapp": "app-0"});
    let fake = Fake::start(move |query| {
        Reply::Vector(if query.starts_with("group") { vec![(bare.clone(), "1")] } else { vec![] })
    })
    .await;
    let (store, wanted) = (fake.store(&[]), apps(1));
    store.sample(&wanted, now()).await;
    assert!(!fake.take_queries().iter().any(|query| query.starts_with("group")));
    let samples = store.sample(&wanted, now()).await;
    assert!(problem(&samples, "rps").contains("without the label component"), "{}", problem(&samples, "rps"));
    store.sample(&wanted, now()).await;
    let asked = fake.take_queries().into_iter().filter(|query| query.starts_with("group"));
    assert_eq!(asked.count(), 1, "a check is not repeated at every tick");

    fake.respond(healthy);
    store.sample(&wanted, now()).await;
    let samples = store.sample(&wanted, now()).await;
    assert_eq!(problem(&samples, "rps"), "");
}

#[tokio::test]
async fn latency_without_traffic_has_no_value() {
    let fake = Fake::start(|query| match healthy(query) {
        Reply::Vector(series) if query.contains("_bucket{") => {
            Reply::Vector(series.into_iter().map(|(labels, _)| (labels, "0")).collect())
        }
        reply => reply,
    })
    .await;
    let samples = fake.store(&[]).sample(&apps(1), now()).await;
    assert_eq!(reading(&samples, "p99").unwrap().values, [] as [f64; 0]);
    assert!(reading(&samples, "p99").unwrap().at.is_some());
}

#[tokio::test]
async fn a_failing_prometheus_leaves_the_last_good_samples_until_they_are_stale() {
    let fake = Fake::start(healthy).await;
    let store = fake.store(&["--staleness", "90s"]);
    let start = now();
    store.sample(&apps(1), start).await;
    fake.respond(|_| Reply::Error(StatusCode::INTERNAL_SERVER_ERROR, "secret of another tenant"));
    let samples = store.sample(&apps(1), start + 5.seconds()).await;
    assert_eq!(quality(&samples, "rps", start + 5.seconds()), Quality::Fresh);
    assert_eq!(quality(&samples, "rps", start + 84.seconds()), Quality::Stale);
    let sentence = problem(&samples, "rps");
    assert!(sentence.ends_with("it answered 500 Internal Server Error"), "{sentence}");
    assert!(!sentence.contains("secret"));
}

#[tokio::test]
async fn a_signal_is_never_judged_by_the_age_of_another_tick() {
    let fake = Fake::start(healthy).await;
    let store = fake.store(&[]);
    store.sample(&apps(1), now() - 60.seconds()).await;
    // The ages fail, the values do not.
    fake.respond(|query| match query.starts_with("time()") {
        true => Reply::Error(StatusCode::SERVICE_UNAVAILABLE, ""),
        false => Reply::Vector(vec![]),
    });
    let samples = store.sample(&apps(1), now()).await;
    assert_eq!(reading(&samples, "rps").unwrap().values, [100.0]);
    assert_eq!(reading(&samples, "rps").unwrap().at.map(|at| at < now() - 60.seconds()), Some(true));
}

/// Fails each query the first time.
fn healthy_the_second_time() -> impl Fn(&str) -> Reply {
    let asked = Mutex::new(BTreeSet::new());
    move |query| match asked.lock().unwrap().insert(query.to_owned()) {
        true => Reply::Error(StatusCode::SERVICE_UNAVAILABLE, ""),
        false => healthy(query),
    }
}

#[tokio::test]
async fn a_query_that_fails_once_delays_nobody_by_a_tick() {
    let fake = Fake::start(healthy_the_second_time()).await;
    let samples = fake.store(&[]).sample(&apps(1), now()).await;
    assert_eq!(quality(&samples, "rps", now()), Quality::Fresh);
}

#[tokio::test]
async fn an_own_query_that_fails_once_does_not_wait_for_its_turn() {
    let fake = Fake::start(healthy_the_second_time()).await;
    let store = fake.store(&["--prometheus-query-interval", "1h"]);
    let samples = answered(&store, &custom("carts_open"), &component(0)).await;
    assert_eq!(reading(&samples, "carts").unwrap().values, [42.0]);
}

#[tokio::test]
async fn a_failing_prometheus_is_not_hammered() {
    let fake = Fake::start(|_| Reply::Error(StatusCode::BAD_GATEWAY, "")).await;
    let store = fake.store(&[]);
    let mut wanted = apps(1);
    wanted
        .components
        .extend(custom("carts_open").components.into_values().map(|sources| (component(1), sources)));
    for _ in 0..200 {
        store.sample(&wanted, now()).await;
    }
    let asked = fake.take_queries().len();
    assert!(asked < 60, "{asked} queries in 200 ticks without a pause");
}

#[tokio::test]
async fn each_failure_is_one_sentence_that_says_what_to_do() {
    let fake = Fake::start(healthy).await;
    let query = async |respond: Reply, more: &[&str]| {
        fake.respond(move |_| respond.clone());
        let prometheus = Prometheus::new(&fake.args(more)).unwrap();
        prometheus.query("test", "up", TEMPLATE_LIMIT).await.map(|_| ()).unwrap_err().to_string()
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
        "failed to read an answer of more than 16384 KiB; make the query return one series"
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
    let error = Prometheus::new(&args).unwrap().query("test", "up", TEMPLATE_LIMIT).await.unwrap_err();
    assert!(matches!(error, QueryError::Unreachable { .. }));
    assert_eq!(
        error.to_string(),
        format!("failed to reach Prometheus at {address}: Connection refused (os error 111)")
    );
}

#[tokio::test]
async fn what_an_own_query_returns_is_judged_and_explained() {
    let fake = Fake::start(healthy).await;
    for (series, expected, sentence) in [
        (vec![(json!({}), "42")], Quality::Fresh, ""),
        (vec![], Quality::Absent, "the query returned no series"),
        (vec![(json!({}), "NaN")], Quality::Implausible, "the query returned NaN"),
        (vec![(json!({}), "+Inf")], Quality::Implausible, "the query returned infinity"),
        (
            vec![(json!({"pod": "a"}), "1"), (json!({"pod": "b"}), "2")],
            Quality::Implausible,
            "the query returned 2 series, wrap it in sum() so that it returns one",
        ),
    ] {
        fake.respond(move |_| Reply::Vector(series.clone()));
        let samples = answered(&fake.store(&[]), &custom("carts_open"), &component(0)).await;
        assert_eq!(
            (quality(&samples, "carts", now()), problem(&samples, "carts").as_str()),
            (expected, sentence)
        );
    }
}

#[tokio::test]
async fn a_query_that_cannot_be_confined_is_never_sent() {
    let fake = Fake::start(healthy).await;
    let samples = fake.store(&[]).sample(&custom("secret{namespace=\"kube-system\"}"), now()).await;
    assert_eq!(fake.take_queries(), [] as [String; 0]);
    assert_eq!(quality(&samples, "carts", now()), Quality::Absent);
    assert!(problem(&samples, "carts").contains("is outside namespace=\"team-0\""));
}

#[tokio::test]
async fn identical_queries_are_sent_once_and_not_at_every_tick() {
    let fake = Fake::start(healthy).await;
    let store = fake.store(&["--prometheus-query-interval", "1h"]);
    let mut wanted = custom("sum(carts_open)");
    for (index, text) in ["sum( carts_open )", "sum(carts_open{namespace=\"team-0\"})"].iter().enumerate() {
        let sources = custom(text).components.into_values().next().unwrap();
        wanted.components.insert(component(index + 1), sources);
    }
    answered(&store, &wanted, &component(0)).await;
    for _ in 0..5 {
        store.sample(&wanted, now()).await;
    }
    assert_eq!(fake.take_queries(), ["sum(carts_open{namespace=\"team-0\"})"]);
}

#[tokio::test]
async fn an_answer_between_two_ticks_is_told_with_the_apps_that_it_is_for() {
    let fake = Fake::start(healthy).await;
    let store = fake.store(&["--prometheus-query-interval", "1s"]);
    answered(&store, &custom("carts_open"), &component(0)).await;
    fake.respond(|_| Reply::Vector(vec![(json!({}), "7")]));
    let told = async {
        loop {
            let (samples, apps) = store.go_on().await;
            if !apps.is_empty() {
                return (samples, apps);
            }
            tokio::task::yield_now().await;
        }
    };
    let (samples, apps) = tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    assert_eq!(apps, BTreeSet::from([("team-0".to_owned(), "app-0".to_owned())]));
    assert_eq!(reading(&samples, "carts").unwrap().values, [7.0]);
}

#[tokio::test]
async fn a_slow_query_of_one_app_delays_no_other() {
    let fake = Fake::start(|query| if query.contains("slow") { Reply::Never } else { healthy(query) }).await;
    let store = fake.store(&["--prometheus-queries-in-flight", "2", "--prometheus-timeout", "10m"]);
    let mut wanted = apps(1);
    for index in 1..20 {
        let sources = custom(&format!("slow_{index}")).components.into_values().next().unwrap();
        wanted.components.insert(component(index), sources);
    }
    let other = CustomQuery { namespace: "team-1".to_owned(), text: "carts_open".to_owned() };
    wanted.components.insert(component(99), BTreeMap::from([("carts".to_owned(), Source::Custom(other))]));
    // A slow query may take ten minutes, and this ends at once.
    let samples = answered(&store, &wanted, &component(99)).await;
    assert_eq!(quality(&samples, "rps", now()), Quality::Fresh);
    let slow = fake.take_queries().iter().filter(|query| query.contains("slow")).count();
    assert_eq!(slow, 1, "one namespace may have half of what may be in flight");
}

#[tokio::test]
async fn the_token_is_read_for_each_request() {
    let fake = Fake::start(healthy).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "first\n").unwrap();
    let prometheus =
        Prometheus::new(&fake.args(&["--prometheus-token-file", path.to_str().unwrap()])).unwrap();
    prometheus.query("test", "up", TEMPLATE_LIMIT).await.unwrap();
    std::fs::write(&path, "second\n").unwrap();
    prometheus.query("test", "up", TEMPLATE_LIMIT).await.unwrap();
    assert_eq!(fake.received("authorization"), ["Bearer first", "Bearer second"]);
    std::fs::remove_file(&path).unwrap();
    let error = prometheus.query("test", "up", TEMPLATE_LIMIT).await.unwrap_err().to_string();
    assert!(error.starts_with("failed to read the token in "), "{error}");
}

#[tokio::test]
async fn a_server_with_tenants_and_a_path_of_its_own_is_asked_as_it_wants() {
    let fake = Fake::start(healthy).await;
    let mut args = fake.args(&["--prometheus-header", "X-Scope-OrgID: team-a"]);
    args.url.push_str("/prometheus/");
    let prometheus = Prometheus::new(&args).unwrap();
    prometheus.query("test", "up", TEMPLATE_LIMIT).await.unwrap();
    assert_eq!(fake.received("x-scope-orgid"), ["team-a"]);
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
