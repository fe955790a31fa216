//! Reading histories, against a server that answers range queries as Prometheus does, or not at all.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Parser;
use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::forecast::Forecast;
use scalableapp_engine::forecast::season::{CELLS, SEASONS, Seasonal};
use scalableapp_engine::reason;
use scalableapp_engine::record::Record;
use scalableapp_operator::decide::{ComponentPass, DecideMemory, View, pass};
use scalableapp_operator::observe::cluster::caches::Observed;
use scalableapp_operator::observe::prometheus::client::Prometheus;
use scalableapp_operator::observe::query_plan::{CustomQuery, QueryPlan, Shown, Signal, Source};
use scalableapp_operator::observe::{snapshot::Samples, store::SampleStore};
use scalableapp_operator::resolve::app::ComponentKey;
use scalableapp_operator::resolve::{app::App, resolve};
use scalableapp_operator::runtime::args::{Args, PrometheusArgs};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const SEASON: SignedDuration = SignedDuration::from_hours(1);
const HORIZON: SignedDuration = SignedDuration::from_mins(5);

/// A Prometheus with the request rate of all components, which answers within its clients' time-out.
#[derive(Clone, Default)]
struct Fake {
    url: String,
    /// The received range queries.
    asked: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
    has_no_ranges: bool,
}

impl Fake {
    async fn start(has_no_ranges: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Self { url, has_no_ranges, ..Self::default() };
        let router = Router::new()
            .route("/api/v1/query", post(instant))
            .route("/api/v1/query_range", post(range))
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    fn store(&self) -> SampleStore {
        let args: PrometheusArgs =
            Args::parse_from(["operator", "--lease-namespace", "operator", "--prometheus-url", &self.url])
                .prometheus;
        SampleStore::new(Prometheus::new(&args).unwrap(), &args).unwrap()
    }

    fn take(&self) -> Vec<BTreeMap<String, String>> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Requests per second at a time: 100, and twice as many in the second half of an hour.
fn load(second: f64) -> f64 {
    // With a small difference between hours.
    let noise = (second * 7.3).sin();
    noise + if second.rem_euclid(3600.0) < 1800.0 { 100.0 } else { 200.0 }
}

fn labels(index: usize) -> Value {
    let key = component(index);
    json!({"namespace": key.namespace, "scalableapp": key.app, "component": key.component})
}

fn answer(kind: &str, result: &[Value]) -> Response {
    axum::Json(json!({"status": "success", "data": {"resultType": kind, "result": result}})).into_response()
}

async fn instant(body: String) -> Response {
    let value = if body.contains("time%28%29+-+%28min") {
        "1"
    } else if body.contains("up%7B") {
        "0"
    } else {
        "100"
    };
    answer("vector", &[json!({"metric": labels(0), "value": [1.0, value]})])
}

async fn range(State(fake): State<Fake>, body: String) -> Response {
    let form: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    fake.asked.lock().unwrap().push(form.clone());
    if fake.has_no_ranges {
        return StatusCode::NOT_FOUND.into_response();
    }
    let number = |name: &str| form[name].parse::<f64>().unwrap();
    let (start, end, step) = (number("start"), number("end"), number("step"));
    let count = ((end - start) / step).round() as usize + 1;
    let at = |index: usize| start + step * index as f64;
    let values: Vec<Value> =
        (0..count).map(|index| json!([at(index), load(at(index)).to_string()])).collect();
    if !form["query"].contains("scalableapp=~") {
        return answer("matrix", &[json!({"metric": {}, "values": values})]);
    }
    let asked = |index: &usize| form["query"].contains(&component(*index).app);
    let traces: Vec<Value> =
        (0..25).filter(asked).map(|index| json!({"metric": labels(index), "values": values})).collect();
    answer("matrix", &traces)
}

fn component(index: usize) -> ComponentKey {
    ComponentKey::new("shop", &format!("app-{index:02}"), "web")
}

fn wanted(count: usize, source: &Source) -> Arc<QueryPlan> {
    wanted_of_season(SEASON, count, source)
}

fn wanted_of_season(season: SignedDuration, count: usize, source: &Source) -> Arc<QueryPlan> {
    let forecast = Forecast { horizon: HORIZON, season: Some(season) };
    Arc::new(QueryPlan::new(
        (0..count)
            .map(|index| (component(index), BTreeMap::from([("rps".to_owned(), source.clone())])))
            .collect(),
        (0..count).map(|index| (component(index), forecast)).collect(),
        Shown::default(),
    ))
}

fn rates(count: usize) -> Arc<QueryPlan> {
    wanted(count, &Source::Component(Signal::RequestRate))
}

fn seasonal<'a>(samples: &'a Samples, key: &ComponentKey) -> &'a Seasonal {
    samples.season(key, "rps").unwrap()
}

/// Continues until the history of every component is known.
async fn known(store: &SampleStore, wanted: &Arc<QueryPlan>) -> Arc<Samples> {
    store.sample(wanted, Timestamp::now()).await;
    let turns = async {
        loop {
            let (samples, _) = store.go_on().await;
            if wanted.components().keys().all(|key| *seasonal(&samples, key) != Seasonal::Awaited) {
                return samples;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), turns).await.unwrap()
}

#[tokio::test]
async fn the_histories_of_many_components_cost_few_queries() {
    let fake = Fake::start(false).await;
    let samples = known(&fake.store(), &rates(25)).await;
    for index in 0..25 {
        let Seasonal::Learned(season) = seasonal(&samples, &component(index)) else {
            panic!("nothing learned")
        };
        assert!(season.errors.admit(), "{:?}", season.errors);
    }
    let asked = fake.take();
    assert_eq!(asked.len(), 3);
    let values = |form: &BTreeMap<String, String>| {
        let number = |name: &str| form[name].parse::<f64>().unwrap();
        assert_eq!(number("end").rem_euclid(number("step")), 0.0);
        ((number("end") - number("start")) / number("step")).round() as usize + 1
    };
    assert_eq!(asked.iter().map(values).collect::<BTreeSet<_>>(), BTreeSet::from([SEASONS * CELLS]));
}

#[tokio::test]
async fn a_history_that_is_known_is_left_alone() {
    let fake = Fake::start(false).await;
    let store = fake.store();
    // The history of a day is read again after an hour.
    let wanted = wanted_of_season(SEASON * 24, 1, &Source::Component(Signal::RequestRate));
    known(&store, &wanted).await;
    for _ in 0..20 {
        store.sample(&wanted, Timestamp::now()).await;
    }
    assert_eq!(fake.take().len(), 1);
}

#[tokio::test]
async fn a_query_of_ones_own_is_confined_to_the_namespace() {
    let fake = Fake::start(false).await;
    let query = CustomQuery { namespace: "shop".to_owned(), text: "sum(carts_open)".to_owned() };
    let samples = known(&fake.store(), &wanted(1, &Source::Custom(query))).await;
    assert!(matches!(seasonal(&samples, &component(0)), Seasonal::Learned(_)));
    let asked = fake.take().remove(0);
    assert_eq!(asked["query"], "sum(carts_open{namespace=\"shop\"})");
    assert_eq!(asked["partial_response"], "false", "half of a history is none");
}

#[tokio::test]
async fn nothing_waits_for_a_history_that_cannot_be_read() {
    let fake = Fake::start(true).await;
    let (store, wanted) = (fake.store(), rates(1));
    let tried = async {
        while fake.asked.lock().unwrap().is_empty() {
            store.sample(&wanted, Timestamp::now()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), tried).await.unwrap();
    let samples = store.sample(&wanted, Timestamp::now()).await;
    assert!(samples.request_rate(&component(0)).is_some(), "the tick goes on");
    assert_eq!(*seasonal(&samples, &component(0)), Seasonal::Awaited);
}

fn app() -> App {
    let app = serde_json::from_value(json!({
        "metadata": {"name": "app-00", "namespace": "shop", "uid": "1", "generation": 1},
        "spec": {"services": [{
            "name": "web", "image": "shop:1", "port": 8080, "metricsPort": 9090,
            "scaling": {
                "minReplicas": 1, "maxReplicas": 9,
                "metrics": [{"name": "rps", "requestRate": {"perReplica": "60"}}],
                "forecast": {"horizon": "5m", "season": "1h"},
            },
        }]},
    }));
    resolve(&app.unwrap()).unwrap()
}

/// What is decided after two horizons of ticks that ends at some minute of an hour.
async fn decided(store: &SampleStore, minute: i64) -> (ComponentPass, Option<Record>) {
    let known = json!({"components": [{"name": "web", "tier": "service", "desired": 2, "ready": 2}]});
    let known = serde_json::from_value(known).unwrap();
    let (app, observed, mut memory) = (app(), Observed::default(), DecideMemory::default());
    let wanted = Arc::new(QueryPlan::of([&app]));
    let start = Timestamp::now().as_second();
    let until = start - start % 3600 + minute * 60;
    let mut last = None;
    for second in (until - 2 * HORIZON.as_secs()..=until).step_by(15) {
        let now = Timestamp::from_second(second).unwrap();
        let samples = store.sample(&wanted, now).await;
        let view = View { recording: true, ..View::new(&observed, &samples, now) };
        let mut pass = pass(&app, Some(&known), view, &mut memory);
        last = pass.components.pop().map(|one| (one, pass.recorded));
    }
    last.unwrap()
}

#[tokio::test]
async fn replicas_are_there_before_the_load_of_every_hour() {
    let fake = Fake::start(false).await;
    let store = fake.store();
    known(&store, &Arc::new(QueryPlan::of([&app()]))).await;
    let early = decided(&store, 15).await.0.decision.unwrap();
    assert_eq!((early.desired, early.limited_by), (2, vec![]));
    let (pass, recorded) = decided(&store, 28).await;
    let decision = pass.decision.unwrap();
    assert_eq!((decision.desired, decision.limited_by.as_slice()), (4, &[reason::FORECAST][..]));
    let stage = decision.stages.iter().find(|stage| stage.name == "forecast").unwrap();
    assert!(stage.effect.starts_with("rps: 4 for 199.9 in 300 s"), "{}", stage.effect);
    assert!(recorded.unwrap().replays(), "its record makes the same decision");
}
