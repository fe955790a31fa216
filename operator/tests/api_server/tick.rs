//! The tick loop, against an API server with one app and a Lease.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use http::{Method, StatusCode};
use kube::Client;
use scalableapp_operator::controller::{Watches, tick};
use scalableapp_operator::observe::cluster::caches::{Cluster, Scope, app_ref, reflect_written};
use scalableapp_operator::runtime::health::Health;
use scalableapp_operator::runtime::lease::Candidate;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::fake::{self, LIMIT, context, lead, not_found};

fn client() -> Client {
    fake::client(|head, body| async move {
        match head.method {
            Method::GET if head.uri.path().ends_with("/scalableapps") => {
                (StatusCode::OK, json!({"metadata": {"resourceVersion": "1"}, "items": [app()]}))
            }
            Method::GET => not_found(),
            _ => (StatusCode::OK, body),
        }
    })
}

fn app() -> Value {
    json!({
        "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
        "metadata": {"name": "shop", "namespace": "store", "uid": "shop", "generation": 1},
        "spec": {"image": "shop:1", "services": [{"name": "web", "port": 80}]},
    })
}

#[tokio::test(start_paused = true)]
async fn ticks_may_be_further_apart_than_the_heart_may_be_silent() {
    let client = client();
    let (_, leadership) = Candidate::new(client.clone(), "operator", "election", "one");
    let context = context(&client, leadership, Watches::new(&Scope::new(client.clone(), &[])).cluster);
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
    let leadership = lead(client.clone()).await;
    let (apps, touched) = reflect_written(&Scope::new(client.clone(), &[]));
    tokio::spawn(touched.for_each(|_| async {}));
    timeout(LIMIT, apps.wait_until_ready()).await.unwrap().unwrap();
    let app = apps.state().remove(0).0.clone().unwrap();
    let context = context(
        &client,
        leadership,
        Cluster { apps, ..Watches::new(&Scope::new(client.clone(), &[])).cluster },
    );
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
