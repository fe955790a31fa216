//! Custom queries.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use scalableapp_engine::evidence::sample::Quality;
use scalableapp_operator::decide::{DecideMemory, View, pass};
use scalableapp_operator::observe::cluster::caches::Observed;
use scalableapp_operator::observe::query_plan::QueryPlan;
use scalableapp_operator::resolve::{app::App, resolve};
use serde_json::json;

use crate::fake::{
    Fake, Reply, answered, component, custom, healthy, now, own_query, problem, quality, reading, wanted,
    with_every_signal,
};

#[tokio::test]
async fn what_no_app_uses_is_not_asked_for() {
    let fake = Fake::start(healthy).await;
    let samples = answered(&fake.store(&[]), &custom("carts_open"), &component(0)).await;
    assert_eq!(fake.take_queries(), ["carts_open{namespace=\"team-0\"}"]);
    assert_eq!(reading(&samples, "carts").unwrap().values, [42.0]);
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
            "the query returned several series, wrap it in sum() so that it returns one",
        ),
        (
            vec![(json!({"pod": "a"}), "1"), (json!({"pod": "b"}), "2"), (json!({"pod": "c"}), "3")],
            Quality::Implausible,
            "the query returned several series, wrap it in sum() so that it returns one",
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
    let texts = ["sum(carts_open)", "sum( carts_open )", "sum(carts_open{namespace=\"team-0\"})"];
    let own = |(index, text)| (component(index), own_query("team-0", text));
    let wanted = wanted(texts.into_iter().enumerate().map(own));
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
    let slow = (1..20).map(|index| (component(index), own_query("team-0", &format!("slow_{index}"))));
    let other = (component(99), own_query("team-1", "carts_open"));
    let wanted = wanted(with_every_signal(1).chain(slow).chain([other]));
    // A slow query may take ten minutes, and this ends at once.
    let samples = answered(&store, &wanted, &component(99)).await;
    assert_eq!(quality(&samples, "rps", now()), Quality::Fresh);
    let slow = fake.take_queries().iter().filter(|query| query.contains("slow")).count();
    assert_eq!(slow, 1, "one namespace may have half of what may be in flight");
}

/// An app with at most ten replicas, with this target per replica for the result of a query.
fn scaled_on(query: &str, per_replica: &str) -> App {
    let app = serde_json::from_value(json!({
        "metadata": {"name": "app-0", "namespace": "team-0", "uid": "1", "generation": 1},
        "spec": {"services": [{
            "name": "web", "image": "shop:1", "port": 8080,
            "scaling": {
                "minReplicas": 1, "maxReplicas": 10,
                "metrics": [{"name": "carts", "prometheus": {"query": query, "perReplica": per_replica}}],
            },
        }]},
    }));
    resolve(&app.unwrap()).unwrap()
}

#[tokio::test]
async fn what_another_query_returned_before_an_edit_is_not_measured_by_the_new_target() {
    let fake = Fake::start(healthy).await;
    let (before, after) = (scaled_on("sum(carts_a_minute)", "15"), scaled_on("sum(carts_a_second)", "1"));
    let samples = answered(&fake.store(&[]), &Arc::new(QueryPlan::of([&before])), &component(0)).await;
    let known = json!({"components": [{"name": "web", "tier": "service", "desired": 2, "ready": 2}]});
    let (known, mut memory) = (serde_json::from_value(known).unwrap(), DecideMemory::default());
    let mut decide = |app: &App| {
        let observed = Observed::default();
        let pass = pass(app, Some(&known), View::new(&observed, &samples, now()), &mut memory);
        pass.components.into_iter().next().unwrap().decision.unwrap()
    };
    let decision = decide(&before);
    assert_eq!((decision.desired, decision.invalid.len()), (3, 0));
    let decision = decide(&after);
    assert_eq!((decision.desired, decision.invalid.len()), (2, 1));
    assert_eq!(decide(&before).invalid.len(), 0);
}
