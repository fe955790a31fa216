//! A failing Prometheus removes no samples, and is not flooded with queries.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::ToSpan;
use scalableapp_engine::evidence::sample::Quality;

use crate::fake::{
    Fake, Reply, answered, apps, component, custom, healthy, healthy_the_second_time, now, own_query,
    problem, quality, reading, wanted, with_every_signal,
};

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

#[tokio::test]
async fn a_query_that_fails_once_delays_nobody_by_a_tick() {
    let fake = Fake::start(healthy_the_second_time()).await;
    let samples = fake.store(&[]).sample(&apps(1), now()).await;
    assert_eq!(quality(&samples, "rps", now()), Quality::Fresh);
}

#[tokio::test]
async fn a_signal_that_keeps_failing_takes_the_second_chance_from_no_other() {
    let cpu_fails = |query: &str| query.contains("container_cpu");
    let unavailable = || Reply::Error(StatusCode::SERVICE_UNAVAILABLE, "");
    let fake = Fake::start(move |query| if cpu_fails(query) { unavailable() } else { healthy(query) }).await;
    let store = fake.store(&[]);
    store.sample(&apps(1), now()).await;
    // CPU is queried again, and everything else fails once.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::time::resume();
    let others = healthy_the_second_time();
    fake.respond(move |query| if cpu_fails(query) { unavailable() } else { others(query) });
    let samples = store.sample(&apps(1), now()).await;
    assert!(problem(&samples, "cpu").contains("503"), "CPU was asked for");
    assert_eq!(problem(&samples, "rps"), "");
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
    let own = (component(1), own_query("team-0", "carts_open"));
    let wanted = wanted(with_every_signal(1).chain([own]));
    for _ in 0..200 {
        store.sample(&wanted, now()).await;
    }
    let asked = fake.take_queries().len();
    assert!(asked < 60, "{asked} queries in 200 ticks without a pause");
}
