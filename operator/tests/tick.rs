//! What the loop that follows time promises, against an API server that holds one app and a Lease.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use scalableapp_operator::apply::{events::Events, writer::Writer};
use scalableapp_operator::controller::{Context, Watches, memory::Memories, tick};
use scalableapp_operator::observe::cluster::{Cluster, app_ref, reflect_written};
use scalableapp_operator::observe::{prometheus::Prometheus, samples::SampleStore};
use scalableapp_operator::runtime::args::Args;
use scalableapp_operator::runtime::lease::{Candidate, Leadership};
use scalableapp_operator::runtime::{decision_log::DecisionLog, health::Health};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Nothing here takes so long unless it hangs.
const LIMIT: Duration = Duration::from_secs(30);

fn client() -> Client {
    let service = tower::service_fn(|request: Request<Body>| async move {
        let (head, body) = request.into_parts();
        if head.uri.query().is_some_and(|query| query.contains("watch=true")) {
            pending::<()>().await;
        }
        let (status, answer) = match head.method {
            Method::GET if head.uri.path().ends_with("/scalableapps") => {
                (StatusCode::OK, json!({"metadata": {"resourceVersion": "1"}, "items": [app()]}))
            }
            Method::GET => (
                StatusCode::NOT_FOUND,
                json!({"status": "Failure", "message": "", "reason": "NotFound", "code": 404}),
            ),
            _ => (StatusCode::OK, serde_json::from_slice(&body.collect_bytes().await?)?),
        };
        let answer = Body::from(serde_json::to_vec(&answer)?);
        Ok::<_, tower::BoxError>(Response::builder().status(status).body(answer)?)
    });
    Client::new(service, "operator")
}

fn app() -> Value {
    json!({
        "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
        "metadata": {"name": "shop", "namespace": "store", "uid": "shop", "generation": 1},
        "spec": {"image": "shop:1", "services": [{"name": "web", "port": 80}]},
    })
}

fn context(client: &Client, leadership: Leadership, cluster: Cluster) -> Arc<Context> {
    let writer = Writer::new(client.clone(), leadership);
    let given = ["operator", "--lease-namespace", "operator", "--prometheus-url", "http://127.0.0.1:1"];
    let args = Args::parse_from(given).prometheus;
    Arc::new(Context {
        cluster,
        samples: SampleStore::new(Prometheus::new(&args).unwrap(), &args).unwrap(),
        events: Events::new(writer.clone(), "one"),
        writer,
        memories: Memories::default(),
        decisions: DecisionLog::open(None).unwrap(),
    })
}

#[tokio::test(start_paused = true)]
async fn ticks_may_be_further_apart_than_the_heart_may_be_silent() {
    let client = client();
    let (_, leadership) = Candidate::new(client.clone(), "operator", "election", "one");
    let context = context(&client, leadership, Watches::new(&client).cluster);
    let (health, (triggers, _triggered)) = (Health::default(), mpsc::channel(1));
    tokio::spawn(tick::run(context, triggers, health.clone(), Duration::from_secs(600), pending()));
    for minute in 1..=15 {
        sleep(Duration::from_secs(60)).await;
        assert!(health.is_live(), "after {minute} minutes");
    }
}

#[tokio::test]
async fn a_tick_that_waits_to_be_heard_leaves_the_app_to_its_reconcile() {
    let client = client();
    let (candidate, leadership) = Candidate::new(client.clone(), "operator", "election", "one");
    tokio::spawn(candidate.run(pending()));
    timeout(LIMIT, leadership.gained()).await.unwrap();
    let (apps, touched) = reflect_written(client.clone());
    tokio::spawn(touched.for_each(|_| async {}));
    timeout(LIMIT, apps.wait_until_ready()).await.unwrap().unwrap();
    let app = apps.state().remove(0).0.clone().unwrap();
    let context = context(&client, leadership, Cluster { apps, ..Watches::new(&client).cluster });
    let (triggers, mut triggered) = mpsc::channel(1);
    triggers.send(app_ref("store", "other")).await.unwrap();
    let period = Duration::from_secs(600);
    tokio::spawn(tick::run(Arc::clone(&context), triggers, Health::default(), period, pending()));
    let measured = async {
        while !context.samples.latest().were_taken() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, measured).await.unwrap();
    assert!(context.memories.of(&app).try_lock().is_ok());
    let heard = [triggered.recv().await, triggered.recv().await].map(Option::unwrap);
    assert_eq!(heard, [app_ref("store", "other"), app_ref("store", "shop")]);
}
