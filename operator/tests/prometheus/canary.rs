//! The evidence of canaries: counters of two revisions at the ends of slices.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jiff::{Timestamp, ToSpan};
use scalableapp_crds::CircuitSource;
use scalableapp_engine::rollout::judge::policy::CanaryPolicy;
use scalableapp_engine::rollout::judge::verdict::{Because, CanaryVerdict};
use scalableapp_operator::observe::prometheus::canary::trial_judge::JudgedStep;
use scalableapp_operator::observe::prometheus::client::Prometheus;
use scalableapp_operator::observe::query_plan::QueryPlan;
use scalableapp_operator::observe::store::SampleStore;
use scalableapp_operator::observe::trials::{CanaryTrial, CanaryTrials, in_seconds};
use scalableapp_operator::resolve::app::{Breaker, ComponentKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fake::{args, component, wanted};

/// How the server answers range queries.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    /// Well up to this many instants.
    Small(usize),
    Failing,
    Silent,
}

/// The labels of a series, and its value at each second.
type CountedSeries = (Value, Box<dyn Fn(f64) -> Option<f64> + Send>);

/// A Prometheus with a service, whose canary began ten minutes ago.
#[derive(Clone)]
struct Shop {
    url: String,
    begun: f64,
    /// Errors of the canary in a thousand requests; the stable revision has two.
    canary_errors: f64,
    /// Seconds after the begin at which the breakers of both revisions open.
    opens: f64,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
}

impl Shop {
    async fn start(canary_errors: f64) -> Self {
        Self::with_breakers(canary_errors, f64::INFINITY).await
    }

    async fn with_breakers(canary_errors: f64, opens: f64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shop = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            begun: (Timestamp::now() - 10.minutes()).as_second() as f64,
            canary_errors,
            opens,
            mood: Arc::new(Mutex::new(Mood::Well)),
            asked: Arc::default(),
        };
        let router = Router::new()
            .route("/api/v1/query", post(instant))
            .route("/api/v1/query_range", post(range))
            .with_state(shop.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        shop
    }

    fn store(&self, more: &[&str]) -> SampleStore {
        let args = args(&self.url, more);
        SampleStore::new(Prometheus::new(&args).unwrap(), &args).unwrap()
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn asked(&self) -> Vec<BTreeMap<String, String>> {
        self.asked.lock().unwrap().clone()
    }

    fn trial(&self) -> CanaryTrial {
        let breaker = Breaker::Exported { source: CircuitSource::App, name: "payments".to_owned() };
        let begun = Timestamp::from_second(self.begun as i64).unwrap();
        CanaryTrial {
            canary: "new".to_owned(),
            stable: "old".to_owned(),
            begun,
            step: 0,
            step_begun: Some(begun + 30.seconds()),
            policy: CanaryPolicy::default(),
            slow_above: Some(0.3),
            breakers: BTreeMap::from([("payments".to_owned(), breaker)]),
        }
    }

    /// Requests of a pod until a time: twenty a second since it started.
    fn requests(&self, is_canary: bool, time: f64) -> f64 {
        let started = if is_canary { self.begun + 10.0 } else { self.begun - 7200.0 };
        (20.0 * (time - started)).floor()
    }

    /// The series of a query: labels, and the value at a time.
    fn series(&self, query: &str) -> Vec<CountedSeries> {
        let pods = [("new", 0), ("new", 1), ("new", 2)].into_iter().chain((0..6).map(|index| ("old", index)));
        let mut series: Vec<CountedSeries> = Vec::new();
        for (revision, index) in pods {
            let (shop, is_canary) = (self.clone(), revision == "new");
            let pod = format!("web-{revision}-{index}");
            let per_mille = if is_canary { self.canary_errors } else { 2.0 };
            let count = move |time: f64| {
                let requests = shop.requests(is_canary, time);
                (requests >= 0.0).then_some(requests)
            };
            let share = move |of: f64| {
                let count = count.clone();
                move |time: f64| count(time).map(|requests| (requests * of).floor())
            };
            let labels = |more: &[(&str, &str)]| {
                let mut labels = json!({"revision": revision, "pod": pod});
                for (name, value) in more {
                    labels[name] = json!(value);
                }
                labels
            };
            if query.contains("up{") {
                let count = share(1.0);
                series.push((labels(&[]), Box::new(move |time| count(time).map(|_| 1.0))));
            } else if query.contains("_bucket{") {
                for (le, of) in [("0.25", 0.9), ("0.5", 0.99), ("1", 1.0), ("+Inf", 1.0)] {
                    series.push((labels(&[("le", le)]), Box::new(share(of))));
                }
            } else if query.contains("http_response_status_code") {
                series.push((labels(&[]), Box::new(share(per_mille / 1000.0))));
            } else if query.contains("_count{") {
                series.push((labels(&[]), Box::new(share(1.0))));
            } else if query.contains("circuit_breaker_calls_total") {
                let labels = labels(&[("name", "payments"), ("outcome", "fallback")]);
                series.push((labels, Box::new(share(0.001))));
            } else if query.contains("circuit_breaker_state") {
                let opens = self.begun + self.opens;
                for (state, is_open) in [("closed", false), ("open", true)] {
                    let labels = labels(&[("name", "payments"), ("state", state)]);
                    let value = move |time: f64| ((time >= opens) == is_open).then_some(1.0);
                    series.push((labels, Box::new(value)));
                }
            }
        }
        series
    }
}

fn answer(kind: &str, result: &[Value]) -> Response {
    axum::Json(json!({"status": "success", "data": {"resultType": kind, "result": result}})).into_response()
}

async fn instant() -> Response {
    answer("vector", &[])
}

async fn range(State(shop): State<Shop>, body: String) -> Response {
    let form: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    shop.asked.lock().unwrap().push(form.clone());
    let number = |name: &str| form[name].parse::<f64>().unwrap();
    let (start, end, step) = (number("start"), number("end"), number("step"));
    let count = ((end - start) / step).floor() as usize + 1;
    let mood = *shop.mood.lock().unwrap();
    match mood {
        Mood::Failing => return (StatusCode::SERVICE_UNAVAILABLE, "").into_response(),
        Mood::Silent => std::future::pending::<()>().await,
        Mood::Small(most) if count > most => {
            let error = json!({"status": "error", "errorType": "execution", "error": "too many samples"});
            return (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(error)).into_response();
        }
        Mood::Small(_) | Mood::Well => {}
    }
    let result: Vec<Value> = shop
        .series(&form["query"])
        .into_iter()
        .filter_map(|(labels, value)| {
            let at = |index: usize| {
                let time = start + step * index as f64;
                Some(json!([time, value(time)?.to_string()]))
            };
            let values: Vec<Value> = (0..count).filter_map(at).collect();
            (!values.is_empty()).then(|| json!({"metric": labels, "values": values}))
        })
        .collect();
    answer("matrix", &result)
}

fn key() -> ComponentKey {
    component(0)
}

fn plan() -> Arc<QueryPlan> {
    wanted([(key(), BTreeMap::new()), (component(1), BTreeMap::new())])
}

fn note(store: &SampleStore, key: ComponentKey, trial: CanaryTrial) {
    let app = (key.namespace.clone(), key.app.clone());
    store.note_trials(&app, CanaryTrials::from([(key, trial)]));
}

/// Ticks until the judge says something that fits.
async fn judged(store: &SampleStore, key: &ComponentKey, fits: impl Fn(&JudgedStep) -> bool) -> JudgedStep {
    let plan = plan();
    let ticks = async {
        loop {
            let samples = store.sample(&plan, Timestamp::now()).await;
            if let Some(judged) = samples.judged(key).filter(|judged| fits(judged)) {
                return judged.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ticks).await.unwrap()
}

#[tokio::test]
async fn a_bad_canary_is_aborted_with_its_numbers() {
    let shop = Shop::start(20.0).await;
    let store = shop.store(&[]);
    note(&store, key(), shop.trial());
    let judged = judged(&store, &key(), |_| true).await;
    let sentence = &judged.judgement.sentence;
    assert_eq!(judged.judgement.verdict, CanaryVerdict::Abort, "{sentence}");
    assert!(sentence.starts_with("The canary is worse in errors: canary 2.0"), "{sentence}");
    assert!(sentence.contains("stable 0.20% ("), "{sentence}");
    let kinds = judged.judgement.kinds.iter().map(|one| 100.0 * one.stable.bad / one.stable.requests);
    let shares: Vec<String> = kinds.map(|share| format!("{share:.1}")).collect();
    assert_eq!(shares, ["0.2", "0.3", "1.0"], "errors, with answers of a fallback, and above 500 ms");
}

#[tokio::test]
async fn a_good_canary_is_promoted_and_read_from_an_hour_before_it_began() {
    let shop = Shop::start(2.0).await;
    let store = shop.store(&[]);
    note(&store, key(), shop.trial());
    let judged = judged(&store, &key(), |_| true).await;
    assert_eq!(judged.judgement.verdict, CanaryVerdict::Promote, "{}", judged.judgement.sentence);
    let asked = shop.asked();
    let start = |form: &BTreeMap<String, String>| form["start"].parse::<f64>().unwrap();
    let first = asked.iter().map(start).fold(f64::INFINITY, f64::min);
    assert_eq!(shop.begun - first, 3600.0);
    assert!(asked.iter().all(|form| form["query"].contains("component=\"web\"")), "{asked:?}");
    assert!(asked.iter().all(|form| form["step"] == "15"), "{asked:?}");
}

#[tokio::test]
async fn another_process_gives_the_same_judgement() {
    let shop = Shop::start(4.0).await;
    let (first, second) = (shop.store(&[]), shop.store(&[]));
    for store in [&first, &second] {
        note(store, key(), shop.trial());
    }
    let slices = |judged: &JudgedStep| judged.judgement.slices;
    let one = judged(&first, &key(), |_| true).await;
    let other = judged(&second, &key(), |_| true).await;
    // Unless a slice ended in between.
    if slices(&one) == slices(&other) {
        assert_eq!(one, other);
    }
}

#[tokio::test]
async fn breakers_that_open_in_both_revisions_stop_the_clock() {
    let shop = Shop::with_breakers(20.0, 0.0).await;
    let store = shop.store(&[]);
    note(&store, key(), shop.trial());
    let judged = judged(&store, &key(), |_| true).await;
    assert_eq!(judged.judgement.because, Because::DependencyDegraded("payments".to_owned()));
    assert_eq!(judged.judgement.slices, 0);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_asked_for_in_pieces() {
    let shop = Shop::start(20.0).await;
    shop.set(Mood::Small(40));
    let store = shop.store(&[]);
    note(&store, key(), shop.trial());
    let judged = judged(&store, &key(), |_| true).await;
    assert_eq!(judged.judgement.verdict, CanaryVerdict::Abort);
}

#[tokio::test]
async fn without_an_answer_nothing_is_judged_and_no_tick_waits() {
    let shop = Shop::start(20.0).await;
    shop.set(Mood::Silent);
    let store = shop.store(&[]);
    note(&store, key(), shop.trial());
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        let samples = store.sample(&plan(), Timestamp::now()).await;
        assert_eq!(samples.judged(&key()), None);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(shop.asked().len(), 1, "one query waits for its answer");
}

#[tokio::test]
async fn a_failing_prometheus_decides_nothing_after_three_slices() {
    let shop = Shop::start(2.0).await;
    let store = shop.store(&["--canary-slice", "1s"]);
    note(&store, key(), shop.trial());
    judged(&store, &key(), |judged| judged.judgement.verdict == CanaryVerdict::Promote).await;
    shop.set(Mood::Failing);
    let lost = judged(&store, &key(), |judged| judged.judgement.because == Because::NotMeasured).await;
    assert_eq!(lost.judgement.verdict, CanaryVerdict::Hold);
    assert!(lost.judgement.sentence.contains("503 Service Unavailable"), "{}", lost.judgement.sentence);
    let asked = shop.asked().len();
    for _ in 0..100 {
        store.sample(&plan(), Timestamp::now()).await;
    }
    assert!(shop.asked().len() <= asked + 3, "it is left alone for longer and longer");
    shop.set(Mood::Well);
    judged(&store, &key(), |judged| judged.judgement.verdict == CanaryVerdict::Promote).await;
}

#[tokio::test]
async fn the_canary_of_one_app_does_not_wait_for_that_of_another() {
    let shop = Shop::start(20.0).await;
    let store = shop.store(&[]);
    // No name of a revision: its queries cannot be made.
    let broken = CanaryTrial { canary: "\"".to_owned(), ..shop.trial() };
    note(&store, component(1), broken);
    note(&store, key(), shop.trial());
    let judged = judged(&store, &key(), |_| true).await;
    assert_eq!(judged.judgement.verdict, CanaryVerdict::Abort);
}

#[tokio::test]
async fn a_new_step_is_not_judged_by_the_one_before() {
    let shop = Shop::start(2.0).await;
    let store = shop.store(&["--canary-slice", "1s"]);
    note(&store, key(), shop.trial());
    judged(&store, &key(), |judged| judged.judgement.verdict == CanaryVerdict::Promote).await;
    let next = CanaryTrial { step: 1, step_begun: Some(in_seconds(Timestamp::now())), ..shop.trial() };
    note(&store, key(), next);
    let second = judged(&store, &key(), |judged| judged.step == 1).await;
    assert_eq!(second.judgement.verdict, CanaryVerdict::Hold, "{}", second.judgement.sentence);
    assert!(second.judgement.slices <= 3);
}

#[tokio::test]
async fn nothing_is_asked_once_the_canary_has_ended() {
    let shop = Shop::start(2.0).await;
    let store = shop.store(&["--canary-slice", "1s"]);
    note(&store, key(), shop.trial());
    judged(&store, &key(), |_| true).await;
    let app = (key().namespace.clone(), key().app.clone());
    store.note_trials(&app, CanaryTrials::new());
    let samples = store.sample(&plan(), Timestamp::now()).await;
    assert_eq!(samples.judged(&key()), None);
    let asked = shop.asked().len();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    store.sample(&plan(), Timestamp::now()).await;
    assert!(shop.asked().len() <= asked + 1, "but for one that was under way");
}
