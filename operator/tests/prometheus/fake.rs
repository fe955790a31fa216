//! A Prometheus with preset answers, and the queries of the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Parser;
use jiff::{Timestamp, ToSpan};
use scalableapp_engine::evidence::sample::{Quality, Reading, judge};
use scalableapp_engine::hpa::pod;
use scalableapp_operator::observe::prometheus::client::{Prometheus, TEMPLATE_LIMIT};
use scalableapp_operator::observe::query_plan::{CustomQuery, QueryPlan, Shown, Signal, Source};
use scalableapp_operator::observe::{snapshot::Samples, store::SampleStore};
use scalableapp_operator::resolve::app::ComponentKey;
use scalableapp_operator::runtime::args::{Args, PrometheusArgs};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Clone)]
pub enum Reply {
    /// An instant vector: the labels and the value of each series.
    Vector(Vec<(Value, &'static str)>),
    Body(&'static str),
    Error(StatusCode, &'static str),
    RedirectTo(String),
    Never,
    Huge,
}

pub type Respond = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

#[derive(Clone)]
pub struct Fake {
    pub url: String,
    respond: Arc<Mutex<Respond>>,
    queries: Arc<Mutex<Vec<String>>>,
    headers: Arc<Mutex<Vec<HeaderMap>>>,
    forms: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
}

impl Fake {
    pub async fn start(respond: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            respond: Arc::new(Mutex::new(Arc::new(respond))),
            queries: Arc::default(),
            headers: Arc::default(),
            forms: Arc::default(),
        };
        let router = Router::new()
            .route("/api/v1/query", post(answer))
            // The path of the same API in Mimir.
            .route("/prometheus/api/v1/query", post(answer))
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    pub fn respond(&self, respond: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        *self.respond.lock().unwrap() = Arc::new(respond);
    }

    pub fn take_queries(&self) -> Vec<String> {
        std::mem::take(&mut self.queries.lock().unwrap())
    }

    /// The values of a header, one for each query.
    pub fn received(&self, name: &str) -> Vec<String> {
        let headers = self.headers.lock().unwrap();
        headers.iter().map(|headers| headers[name].to_str().unwrap().to_owned()).collect()
    }

    /// The values of a parameter, one for each query.
    pub fn parameters(&self, name: &str) -> Vec<Option<String>> {
        self.forms.lock().unwrap().iter().map(|form| form.get(name).cloned()).collect()
    }

    pub fn args(&self, more: &[&str]) -> PrometheusArgs {
        args(&self.url, more)
    }

    pub fn store(&self, more: &[&str]) -> SampleStore {
        let args = self.args(more);
        SampleStore::new(Prometheus::new(&args).unwrap(), &args).unwrap()
    }
}

async fn answer(State(fake): State<Fake>, headers: HeaderMap, body: String) -> Response {
    let form: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let query = form["query"].clone();
    fake.forms.lock().unwrap().push(form);
    fake.queries.lock().unwrap().push(query.clone());
    fake.headers.lock().unwrap().push(headers);
    let respond = Arc::clone(&fake.respond.lock().unwrap());
    match respond(&query) {
        Reply::Vector(series) => {
            let result: Vec<Value> = series
                .iter()
                .map(|(labels, value)| json!({"metric": labels, "value": [1_700_000_000.0, value]}))
                .collect();
            let answer = json!({"status": "success", "data": {"resultType": "vector", "result": result}, "warnings": ["PromQL warning: one"]});
            axum::Json(answer).into_response()
        }
        Reply::Body(body) => body.into_response(),
        Reply::Error(status, body) => (status, body).into_response(),
        Reply::RedirectTo(url) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, url)]).into_response(),
        Reply::Never => std::future::pending().await,
        Reply::Huge => "x".repeat(TEMPLATE_LIMIT + 1).into_response(),
    }
}

pub fn args(url: &str, more: &[&str]) -> PrometheusArgs {
    let given = ["operator", "--lease-namespace", "operator", "--prometheus-url", url];
    Args::parse_from(given.iter().chain(more)).prometheus
}

pub fn component(index: usize) -> ComponentKey {
    ComponentKey::new(&format!("team-{}", index % 5), &format!("app-{index}"), "web")
}

/// What these components need, none of which serves metrics.
pub fn wanted(
    components: impl IntoIterator<Item = (ComponentKey, BTreeMap<String, Source>)>,
) -> Arc<QueryPlan> {
    Arc::new(QueryPlan::new(components.into_iter().collect(), BTreeMap::new(), Shown::default()))
}

/// Components of apps that use every signal.
pub fn with_every_signal(count: usize) -> impl Iterator<Item = (ComponentKey, BTreeMap<String, Source>)> {
    let sources = BTreeMap::from([
        ("rps".to_owned(), Source::Component(Signal::RequestRate)),
        ("p99".to_owned(), Source::Quantile(0.99)),
        ("cpu".to_owned(), Source::Pods(Signal::Cpu)),
        ("memory".to_owned(), Source::Pods(Signal::Memory)),
    ]);
    (0..count).map(move |index| (component(index), sources.clone()))
}

/// Apps that use every signal.
pub fn apps(count: usize) -> Arc<QueryPlan> {
    wanted(with_every_signal(count))
}

/// One metric with its own query.
pub fn own_query(namespace: &str, text: &str) -> BTreeMap<String, Source> {
    let query = CustomQuery { namespace: namespace.to_owned(), text: text.to_owned() };
    BTreeMap::from([("carts".to_owned(), Source::Custom(query))])
}

/// One app with one such metric.
pub fn custom(text: &str) -> Arc<QueryPlan> {
    wanted([(component(0), own_query("team-0", text))])
}

/// The answer of a healthy Prometheus for component 0 and its one pod, measured 7 s ago.
pub fn healthy(query: &str) -> Reply {
    let labels = json!({"namespace": "team-0", "scalableapp": "app-0", "component": "web"});
    let container = json!({"namespace": "team-0", "pod": "web-1", "container": "web"});
    let bucket =
        |le: &str| json!({"namespace": "team-0", "scalableapp": "app-0", "component": "web", "le": le});
    let at =
        |end: &str| json!({"namespace": "team-0", "scalableapp": "app-0", "component": "web", "at": end});
    Reply::Vector(if query.starts_with("label_replace(sum by") {
        vec![(at("rate"), "120"), (at("number"), "1800"), (at("pods"), "1")]
    } else if query.starts_with("time() - (min by (namespace, scalableapp, component)") {
        vec![(labels, "7")]
    } else if query.starts_with("time() - min by (namespace, pod, container)") {
        vec![(container, "7")]
    } else if query.contains("up{") {
        vec![(at("start"), "1"), (at("end"), "1")]
    } else if query.contains("resets(") || query.contains("_active_requests{") {
        vec![]
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

/// Fails each query the first time.
pub fn healthy_the_second_time() -> impl Fn(&str) -> Reply {
    let asked = Mutex::new(BTreeSet::new());
    move |query| match asked.lock().unwrap().insert(query.to_owned()) {
        true => Reply::Error(StatusCode::SERVICE_UNAVAILABLE, ""),
        false => healthy(query),
    }
}

pub fn now() -> Timestamp {
    Timestamp::now()
}

pub fn reading(samples: &Samples, metric: &str) -> Option<Reading> {
    let key = component(0);
    samples.reading(&key, metric)
}

/// Ticks until the custom query of a component was answered, because a late answer counts from the next tick on.
pub async fn answered(store: &SampleStore, wanted: &Arc<QueryPlan>, key: &ComponentKey) -> Arc<Samples> {
    let ticks = async {
        loop {
            let samples = store.sample(wanted, now()).await;
            let reading = samples.reading(key, "carts");
            if reading.is_some_and(|reading| reading.at.is_some()) {
                return samples;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ticks).await.unwrap()
}

/// A component's one pod in the engine's form, ready for this many seconds.
pub fn ready_for(seconds: i64) -> Vec<pod::Pod> {
    let since = now() - seconds.seconds();
    vec![pod::Pod {
        name: "web-1".into(),
        phase: pod::Phase::Running,
        deleting: false,
        ready: Some(pod::Ready { status: pod::ReadyStatus::True, since }),
        start: Some(since),
        containers: [].into(),
        requests: pod::ByResource::default(),
        usage: pod::ByResource::default(),
    }]
}

pub fn quality(samples: &Samples, metric: &str, now: Timestamp) -> Quality {
    match judge(reading(samples, metric).as_ref(), &[], now, samples.max_age()) {
        Ok(_) => Quality::Fresh,
        Err(unfit) => unfit.quality(),
    }
}

pub fn problem(samples: &Samples, metric: &str) -> String {
    samples.problem(&component(0), metric, &ready_for(45), self::now()).unwrap_or_default()
}
