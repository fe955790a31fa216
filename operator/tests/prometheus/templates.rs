//! The template queries for all apps, and the measurements from their answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, ToSpan};
use scalableapp_engine::evidence::recent::RecentRate;
use scalableapp_engine::evidence::sample::{Coverage, Quality};
use scalableapp_engine::hpa::pod::Resource;
use scalableapp_operator::observe::cluster::pods::CachedPod;
use scalableapp_operator::observe::query_plan::{QueryPlan, Shown, Signal, Source};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, apps, component, healthy, now, problem, quality, reading, ready_for, wanted};

fn cluster_pod(name: &str, containers: &[&str]) -> CachedPod {
    let containers: Vec<Value> = containers.iter().map(|name| json!({"name": name})).collect();
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
    let usage = |resource| samples.usage("team-0", &cluster_pod("web-1", &["web"]).pod, resource);
    let cpu = usage(Resource::Cpu).unwrap();
    assert_eq!((cpu.milli, cpu.at, cpu.window), (251, at - 7.seconds(), SignedDuration::from_secs(120)));
    assert_eq!(usage(Resource::Memory).unwrap().milli, 1_048_576_000);
}

#[tokio::test]
async fn a_pod_counts_only_when_every_container_was_measured() {
    let fake = Fake::start(healthy).await;
    let samples = fake.store(&[]).sample(&apps(1), now()).await;
    let cpu = |pod: &str, containers: &[&str]| {
        samples.usage("team-0", &cluster_pod(pod, containers).pod, Resource::Cpu)
    };
    assert!(cpu("web-1", &["web"]).is_some());
    assert!(cpu("web-1", &["web", "proxy"]).is_none() && cpu("web-2", &["web"]).is_none());
}

#[tokio::test]
async fn many_apps_cost_as_many_queries_as_one() {
    let fake = Fake::start(healthy).await;
    let store = fake.store(&[]);
    store.sample(&apps(1), now()).await;
    let one = fake.take_queries();
    store.sample(&apps(500), now()).await;
    let many = fake.take_queries();
    // With a tick of 5 s these are 2.2 queries a second for any number of apps, 1.2 where all scale on the request rate.
    assert_eq!((one.len(), many.len()), (11, 11), "{many:#?}");
}

#[tokio::test]
async fn a_signal_that_no_app_uses_is_not_queried() {
    let fake = Fake::start(healthy).await;
    let store = fake.store(&[]);
    let asks = async |source: Option<Source>| {
        let sources = source.map(|source| ("metric".to_owned(), source)).into_iter().collect();
        store.sample(&wanted([(component(0), sources)]), now()).await;
        let queries = fake.take_queries();
        ["_count{", "_bucket{", "container_cpu", "container_memory"]
            .map(|series| queries.iter().filter(|query| query.contains(series)).count())
    };
    // Counts, buckets, CPU, memory. Rate and latency read the age of the counts, the rate their resets and the last 20 s.
    assert_eq!(asks(None).await, [0, 0, 0, 0]);
    assert_eq!(asks(Some(Source::Component(Signal::RequestRate))).await, [4, 0, 0, 0]);
    assert_eq!(asks(Some(Source::Quantile(0.99))).await, [1, 1, 0, 0]);
    assert_eq!(asks(Some(Source::Pods(Signal::Cpu))).await, [0, 0, 2, 0]);
    assert_eq!(asks(Some(Source::Pods(Signal::Memory))).await, [0, 0, 0, 2]);
}

#[tokio::test]
async fn what_is_only_shown_is_asked_for_at_every_third_tick() {
    let fake = Fake::start(healthy).await;
    let rps = BTreeMap::from([("rps".to_owned(), Source::Component(Signal::RequestRate))]);
    let traffic = BTreeSet::from([("team-0".to_owned(), "app-0".to_owned())]);
    let shown = Shown { traffic, ..Shown::default() };
    let wanted = Arc::new(QueryPlan::new([(component(0), rps)].into(), BTreeMap::new(), shown));
    let store = fake.store(&[]);
    let mut asked = Vec::new();
    for _ in 0..5 {
        let samples = store.sample(&wanted, now()).await;
        assert!(samples.latency(&component(0)).is_some(), "what was measured is shown until it is stale");
        let queries = fake.take_queries();
        let of = |part: &str| queries.iter().filter(|query| query.contains(part)).count();
        asked.push((of("(rate(http_server_request_duration_seconds_count"), of("_bucket{")));
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(5)).await;
        tokio::time::resume();
    }
    assert_eq!(asked, [(2, 1), (2, 0), (2, 0), (2, 1), (2, 0)], "the rate over both windows");
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
        Reply::Vector(if query.starts_with("max by (namespace, pod, scalableapp") {
            vec![(bare.clone(), "1")]
        } else {
            vec![]
        })
    })
    .await;
    let (store, wanted) = (fake.store(&[]), apps(1));
    store.sample(&wanted, now()).await;
    assert!(
        !fake.take_queries().iter().any(|query| query.starts_with("max by (namespace, pod, scalableapp"))
    );
    let samples = store.sample(&wanted, now()).await;
    assert!(problem(&samples, "rps").contains("without the label component"), "{}", problem(&samples, "rps"));
    let young = samples.problem(&component(0), "rps", &ready_for(10), now());
    assert_eq!(young, None, "a pod is not missed before it could have been scraped twice");
    store.sample(&wanted, now()).await;
    let asked = fake
        .take_queries()
        .into_iter()
        .filter(|query| query.starts_with("max by (namespace, pod, scalableapp"));
    assert_eq!(asked.count(), 1, "a check is not repeated at every tick");

    fake.respond(healthy);
    store.sample(&wanted, now()).await;
    let samples = store.sample(&wanted, now()).await;
    assert_eq!(problem(&samples, "rps"), "");
}

#[tokio::test]
async fn a_rate_says_what_of_its_window_was_seen() {
    let fake = Fake::start(|query| match healthy(query) {
        Reply::Vector(series) if query.contains("up{") => {
            Reply::Vector(series.into_iter().filter(|(labels, _)| labels["at"] == "end").collect())
        }
        Reply::Vector(_) if query.contains("resets(") => Reply::Vector(vec![(
            json!({"namespace": "team-0", "scalableapp": "app-0", "component": "web"}),
            "3",
        )]),
        reply => reply,
    })
    .await;
    let samples = fake.store(&[]).sample(&apps(1), now()).await;
    let rps = samples.reading(&component(0), "rps").unwrap();
    let window = rps.window.unwrap();
    assert_eq!((window.length.as_secs(), window.start.reporting, window.resets), (60, 0, 3));
    assert_eq!(rps.coverage, Some(Coverage { reporting: 1 }));
}

#[tokio::test]
async fn the_rate_of_the_last_seconds_says_which_pods_were_scraped_and_whether_counters_were_reset() {
    let resets = |query: &str| match healthy(query) {
        Reply::Vector(_) if query.contains("resets(") => Reply::Vector(vec![(
            json!({"namespace": "team-0", "scalableapp": "app-0", "component": "web"}),
            "3",
        )]),
        reply => reply,
    };
    let fake = Fake::start(resets).await;
    let at = now();
    let samples = fake.store(&[]).sample(&apps(1), at).await;
    let expected = RecentRate {
        at: Some(at - 7.seconds()),
        rate: 120.0,
        requests: 1800.0,
        length: SignedDuration::from_secs(20),
        pods: 1,
        resets: 3,
    };
    assert_eq!(samples.recent_rate(&component(0)), Some(expected));
}

#[tokio::test]
async fn a_short_window_that_is_off_or_not_shorter_is_not_queried() {
    let fake = Fake::start(healthy).await;
    for args in [["--short-request-window", "0s"], ["--short-request-window", "60s"]] {
        let samples = fake.store(&args).sample(&apps(1), now()).await;
        assert_eq!(samples.recent_rate(&component(0)), None);
        let queries = fake.take_queries();
        assert_eq!(queries.len(), 10, "{args:?}: {queries:#?}");
    }
}

#[tokio::test]
async fn requests_that_are_being_served_stand_beside_the_rate() {
    let fake = Fake::start(|query| match healthy(query) {
        Reply::Vector(_) if query.contains("_active_requests{") => Reply::Vector(vec![(
            json!({"namespace": "team-0", "scalableapp": "app-0", "component": "web"}),
            "12",
        )]),
        reply => reply,
    })
    .await;
    let store = fake.store(&[]);
    assert_eq!(reading(&*store.sample(&apps(1), now()).await, "rps").unwrap().in_flight, Some(12));
    fake.respond(healthy);
    assert_eq!(reading(&*store.sample(&apps(1), now()).await, "rps").unwrap().in_flight, None);
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
