//! Too many series affect only the app that exports them, and its author gets a report.

use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use scalableapp_engine::evidence::sample::{Quality, judge};
use scalableapp_operator::decide::component_state::MetricsState;
use scalableapp_operator::decide::{DecideMemory, View, pass};
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::caches::Observed;
use scalableapp_operator::observe::query_plan::{QueryPlan, Source};
use scalableapp_operator::observe::{snapshot::Samples, store::SampleStore};
use scalableapp_operator::resolve::{app::App, resolve};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, apps, component, now, ready_for};

const APPS: usize = 40;
/// The app whose pods export too many series.
const AUTHOR: usize = 7;
const SENTENCE: &str = "failed to read an answer of more than 8192 KiB; export fewer series: fewer buckets of histograms, and fewer values of labels such as http_route";

/// Whether a query selects the series of a component's app.
fn asks_for(query: &str, index: usize) -> bool {
    let key = component(index);
    let names = |label: &str| -> Vec<String> {
        let after = query.split(&format!("{label}=~\"")).nth(1).unwrap_or_default();
        let list = after.split('"').next().unwrap_or_default().trim_start_matches("(?:");
        list.trim_end_matches(")-.+").split('|').map(str::to_owned).collect()
    };
    let has =
        |label: &str, name: &String| !query.contains(&format!("{label}=~")) || names(label).contains(name);
    has("namespace", &key.namespace) && has("scalableapp", &key.app) && has("pod", &key.app)
}

/// The answer for every selected component, each with one pod and measured 1 s ago.
fn everything(query: &str) -> Vec<(Value, &'static str)> {
    let of = |index: usize, more: &[(&str, &str)]| {
        let key = component(index);
        let mut labels = json!({"namespace": key.namespace, "scalableapp": key.app, "component": "web"});
        more.iter().for_each(|(name, value)| labels[*name] = json!(value));
        labels
    };
    let series = |index: usize| match query {
        query if query.starts_with("time()") => vec![(of(index, &[]), "1")],
        query if query.contains("up{") => {
            vec![(of(index, &[("at", "start")]), "1"), (of(index, &[("at", "end")]), "1")]
        }
        query if query.contains("resets(") || query.contains("_active_requests{") => vec![],
        query if query.contains("_bucket{") => {
            vec![(of(index, &[("le", "0.1")]), "50"), (of(index, &[("le", "+Inf")]), "100")]
        }
        query if query.contains("_count{") => vec![(of(index, &[]), "100")],
        _ => vec![],
    };
    (0..APPS).filter(|index| asks_for(query, *index)).flat_map(series).collect()
}

/// A Prometheus with too many series of this name from the author.
async fn flooded(series: &'static str) -> Fake {
    Fake::start(move |query| match query.contains(series) && asks_for(query, AUTHOR) {
        true => Reply::Huge,
        false => Reply::Vector(everything(query)),
    })
    .await
}

/// Ticks for this many minutes; returns the last samples, their time, and the number of queries in the last tick.
async fn ticked(
    fake: &Fake,
    store: &SampleStore,
    wanted: &Arc<QueryPlan>,
    minutes: i64,
) -> (Arc<Samples>, Timestamp, usize) {
    let (mut at, mut last) = (now(), None);
    for _ in 0..minutes * 12 {
        fake.take_queries();
        last = Some(store.sample(wanted, at).await);
        at += 5.seconds();
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(5)).await;
        tokio::time::resume();
    }
    (last.unwrap(), at, fake.take_queries().len())
}

fn quality_of(samples: &Samples, index: usize, metric: &str, at: Timestamp) -> Quality {
    let reading = samples.reading(&component(index), metric);
    judge(reading.as_ref(), &[], at, samples.max_age())
        .map_or_else(|unfit| unfit.quality(), |_| Quality::Fresh)
}

#[tokio::test]
async fn a_flood_of_series_harms_its_author_alone_who_is_told() {
    let fake = flooded("http_server_request_duration_seconds").await;
    let (store, wanted) = (fake.store(&[]), apps(APPS));
    let (samples, at, queries) = ticked(&fake, &store, &wanted, 3).await;
    for index in 0..APPS {
        let key = component(index);
        let (quality, problem) = match index {
            AUTHOR => (Quality::Absent, Some(SENTENCE.to_owned())),
            _ => (Quality::Fresh, None),
        };
        assert_eq!(quality_of(&samples, index, "rps", at), quality, "app {index}");
        assert_eq!(samples.problem(&key, "rps", &ready_for(45), at), problem, "app {index}");
        assert_eq!(samples.unanswered(&key, "p99", at).is_some(), index == AUTHOR, "app {index}");
    }
    // With at most five parts the two signals need six templates each, beside those of CPU and memory.
    assert!(queries <= 34, "{queries} queries in a tick");
    fake.respond(|query| Reply::Vector(everything(query)));
    let (samples, at, queries) = ticked(&fake, &store, &wanted, 3).await;
    assert_eq!(quality_of(&samples, AUTHOR, "rps", at), Quality::Fresh);
    assert_eq!(queries, 11, "all are one part again");
}

#[tokio::test]
async fn a_query_that_reads_more_samples_than_it_may_is_split_as_well() {
    let fake = Fake::start(|query| match query.contains("_count{") && asks_for(query, AUTHOR) {
        true => Reply::Body(r#"{"status":"error","errorType":"execution","error":"too many samples"}"#),
        false => Reply::Vector(everything(query)),
    })
    .await;
    let (samples, at, _) = ticked(&fake, &fake.store(&[]), &apps(APPS), 3).await;
    assert_eq!(quality_of(&samples, 0, "rps", at), Quality::Fresh);
    assert_eq!(quality_of(&samples, AUTHOR, "rps", at), Quality::Absent);
}

fn app(index: usize) -> App {
    let key = component(index);
    let app = serde_json::from_value(json!({
        "metadata": {"name": key.app, "namespace": key.namespace, "uid": "1", "generation": 1},
        "spec": {"services": [{
            "name": "web", "image": "shop:1", "port": 8080, "metricsPort": 9090,
            "scaling": {"minReplicas": 1, "maxReplicas": 10, "metrics": [
                {"name": "rps", "requestRate": {"perReplica": "50"}},
                {"name": "p99", "latency": {"quantile": "0.99", "target": "300ms"}},
            ]},
        }]},
    }));
    resolve(&app.unwrap()).unwrap()
}

fn with_a_ready_pod(app: &App) -> Observed {
    let (name, revision) = (app.name.as_str(), app.components[0].revision.to_string());
    let deployment = serde_json::from_value(json!({
        "metadata": {"name": format!("{name}-web-{revision}"), "labels": {
            "scalableapp.dev/app": name, "scalableapp.dev/component": "web", "scalableapp.dev/revision": revision,
        }, "ownerReferences": [{
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": name, "uid": app.uid,
            "controller": true,
        }]},
        "spec": {"replicas": 1}, "status": {"replicas": 1, "readyReplicas": 1},
    }));
    let deployments = Arc::new(vec![Arc::new(deployment.unwrap())]);
    Observed { workloads: [(Kind::Deployment, deployments)].into(), ..Observed::default() }
}

#[tokio::test]
async fn a_latency_that_was_not_answered_is_not_called_fresh() {
    let fake = flooded("_bucket{").await;
    let all: Vec<App> = (0..APPS).map(app).collect();
    let wanted = Arc::new(QueryPlan::of(&all));
    let (samples, at, _) = ticked(&fake, &fake.store(&[]), &wanted, 3).await;
    let measured = |index: usize| {
        let observed = with_a_ready_pod(&all[index]);
        let pass = pass(&all[index], None, View::new(&observed, &samples, at), &mut DecideMemory::default());
        pass.components.into_iter().next().unwrap().state.measured
    };
    assert_eq!(measured(0), MetricsState::Fresh);
    match measured(AUTHOR) {
        MetricsState::Missing(failure) => {
            assert_eq!((failure.reason.name, failure.message), ("MetricStale", format!("p99: {SENTENCE}")));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_is_not_whole_may_ask_for_more_and_never_for_fewer() {
    const PARTIAL: &str = r#"{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[{"metric":{},"value":[1,"42"]}]}}"#;
    let fake = Fake::start(|_| Reply::Body(PARTIAL)).await;
    let wanted = crate::fake::custom("carts_open");
    let samples = crate::fake::answered(&fake.store(&[]), &wanted, &component(0)).await;
    assert_eq!(quality_of(&samples, 0, "carts", now()), Quality::Absent);
    let reading = samples.reading(&component(0), "carts").unwrap();
    assert!((reading.values == [42.0]) && reading.is_partial);
    assert!(matches!(samples.source(&component(0), "carts"), Some(Source::Custom(_))));
    let problem = samples.problem(&component(0), "carts", &[], now()).unwrap();
    assert_eq!(
        problem,
        "failed to get a whole answer: some of the servers behind Prometheus did not answer it"
    );
}
