//! Circuit breakers that a query of an app reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use scalableapp_engine::evidence::circuit::CircuitState::{self, Closed, HalfOpen, Implausible, Open};
use scalableapp_engine::evidence::circuit::{CircuitReading, Standing, judge_circuit};
use scalableapp_engine::hpa::pod::Pod;
use scalableapp_operator::observe::query_plan::QueryPlan;
use scalableapp_operator::observe::snapshot::Samples;
use scalableapp_operator::observe::store::SampleStore;
use scalableapp_operator::resolve::{app::App, resolve};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, component, healthy, now, ready_for};

type Series = Vec<(Value, &'static str)>;

/// An app that reads its breakers for `payments` by this query.
fn app(query: &str) -> App {
    let values = json!([
        {"value": "0", "state": "closed"}, {"value": "1", "state": "open"}, {"value": "0.5", "state": "halfOpen"},
    ]);
    let app = serde_json::from_value(json!({
        "metadata": {"name": "app-0", "namespace": "team-0", "uid": "1", "generation": 1},
        "spec": {
            "services": [{"name": "web", "image": "shop:1", "port": 8080, "calls": ["payments"]}],
            "dependencies": [{"name": "payments", "circuit": {"prometheus": {"query": query, "values": values}}}],
        },
    }));
    resolve(&app.unwrap()).unwrap()
}

fn plan(app: &App) -> Arc<QueryPlan> {
    Arc::new(QueryPlan::of([app]))
}

fn pods(names: &[&str]) -> Vec<Pod> {
    names.iter().map(|name| Pod { name: (*name).into(), ..ready_for(600).remove(0) }).collect()
}

fn reading(samples: &Samples, app: &App) -> Option<CircuitReading> {
    let breaker = &app.components[0].breakers["payments"];
    samples.circuit(&component(0), "payments", breaker).map(std::borrow::Cow::into_owned)
}

fn problem(samples: &Samples, app: &App, names: &[&str]) -> String {
    let breaker = &app.components[0].breakers["payments"];
    samples.circuit_problem(&component(0), breaker, &pods(names)).unwrap_or_default()
}

/// Ticks until the query was answered or failed.
async fn ticked(store: &SampleStore, app: &App) -> Arc<Samples> {
    let wanted = plan(app);
    let ticks = async {
        loop {
            let samples = store.sample(&wanted, now()).await;
            if reading(&samples, app).is_some() || !problem(&samples, app, &[]).is_empty() {
                return samples;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ticks).await.unwrap()
}

fn of(pod: &str) -> Value {
    json!({"pod": pod, "namespace": "team-0"})
}

#[tokio::test]
async fn a_query_gives_each_pod_the_state_that_its_author_says() {
    let fake = Fake::start(healthy).await;
    fake.respond(|_| Reply::Vector(vec![(of("a"), "0"), (of("b"), "1"), (of("c"), "0.5")]));
    let app = app("max by (pod) (breaker_state{name=\"pay\"})");
    let samples = ticked(&fake.store(&[]), &app).await;
    assert_eq!(
        fake.take_queries(),
        ["max by (pod) (breaker_state{name=\"pay\",namespace=\"team-0\"})"],
        "confined, and nothing else is asked for"
    );
    let states: BTreeMap<String, CircuitState> =
        reading(&samples, &app).unwrap().pods.into_iter().map(|(pod, one)| (pod, one.state)).collect();
    assert_eq!(
        states,
        [("a", Closed), ("b", Open), ("c", HalfOpen)].map(|(pod, one)| (pod.to_owned(), one)).into()
    );
    assert_eq!(problem(&samples, &app, &["a", "b", "c"]), "");
}

#[tokio::test]
async fn what_does_not_tell_a_state_is_unknown_and_named() {
    let fake = Fake::start(healthy).await;
    let cases: [(Series, Option<CircuitState>, &str); 7] = [
        (vec![], None, "the query returned no series"),
        (vec![(of("b"), "0")], None, "the query returned no series of pod a"),
        (
            vec![(json!({"namespace": "team-0"}), "0")],
            None,
            "the query returned a series without the label pod: write it as max by (pod) (...)",
        ),
        (
            vec![(of("a"), "0"), (of("a"), "0")],
            Some(Implausible),
            "the query returned several series of pod a: aggregate them, for example by max by (pod) (...)",
        ),
        (vec![(of("a"), "NaN")], Some(Implausible), "the query returned NaN for pod a"),
        (
            vec![(of("a"), "2")],
            Some(Implausible),
            "the query returned a value for pod a that is not in values: add it there",
        ),
        (
            vec![(of("a"), "+Inf")],
            Some(Implausible),
            "the query returned a value for pod a that is not in values: add it there",
        ),
    ];
    let app = app("breaker_state");
    for (series, state, sentence) in cases {
        fake.respond(move |_| Reply::Vector(series.clone()));
        let samples = ticked(&fake.store(&[]), &app).await;
        let read = reading(&samples, &app).unwrap();
        assert_eq!(read.pods.get("a").map(|one| one.state), state, "{sentence}");
        assert_eq!(problem(&samples, &app, &["a"]), sentence);
        let at = (now(), samples.max_age());
        assert!(matches!(judge_circuit(Some(&read), &pods(&["a"]), at, false, 0), Standing::Unknown(_)));
    }
}

#[tokio::test]
async fn an_answer_ages_while_the_query_fails_and_the_failure_is_named() {
    let fake = Fake::start(healthy).await;
    fake.respond(|_| Reply::Vector(vec![(of("a"), "1")]));
    let (app, store) = (app("breaker_state"), fake.store(&["--prometheus-query-interval", "1s"]));
    ticked(&store, &app).await;
    fake.respond(|_| Reply::Error(axum::http::StatusCode::SERVICE_UNAVAILABLE, ""));
    let failed = async {
        loop {
            let samples = store.sample(&plan(&app), now()).await;
            if !problem(&samples, &app, &["a"]).is_empty() {
                return samples;
            }
            tokio::task::yield_now().await;
        }
    };
    let samples = tokio::time::timeout(Duration::from_secs(30), failed).await.unwrap();
    let read = reading(&samples, &app).unwrap();
    let judged = |at: Timestamp| judge_circuit(Some(&read), &pods(&["a"]), (at, samples.max_age()), false, 0);
    assert!(matches!(judged(now()), Standing::Degraded(_)), "as it was last seen");
    let later = now() + samples.max_age() + SignedDuration::from_secs(1);
    assert!(matches!(judged(later), Standing::Unknown(_)));
}

#[tokio::test]
async fn a_query_that_leaves_its_namespace_is_not_sent_and_named() {
    let fake = Fake::start(healthy).await;
    let app = app("breaker_state{namespace=\"kube-system\"}");
    let samples = ticked(&fake.store(&[]), &app).await;
    assert_eq!(fake.take_queries(), [] as [String; 0]);
    assert!(problem(&samples, &app, &["a"]).contains("is outside namespace=\"team-0\""));
    assert_eq!(reading(&samples, &app), None);
}

#[tokio::test]
async fn an_answer_between_two_ticks_is_told_with_the_apps_that_it_is_for() {
    let fake = Fake::start(healthy).await;
    fake.respond(|_| Reply::Vector(vec![(of("a"), "1")]));
    let (app, store) = (app("breaker_state"), fake.store(&["--prometheus-query-interval", "1s"]));
    ticked(&store, &app).await;
    let told = async {
        loop {
            let (_, apps) = store.go_on().await;
            if !apps.is_empty() {
                return apps;
            }
            tokio::task::yield_now().await;
        }
    };
    let apps = tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    assert_eq!(apps, [("team-0".to_owned(), "app-0".to_owned())].into());
}
