//! The children of a component that is removed, or of another tier now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{Method, StatusCode};
use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;
use scalableapp_operator::apply::app::{Leader, apply};
use scalableapp_operator::apply::memory::ApplyMemory;
use scalableapp_operator::apply::writer::Writer;
use scalableapp_operator::controller::Watches;
use scalableapp_operator::decide::Pass;
use scalableapp_operator::decide::removed::Removed;
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::cached::CachedChild;
use scalableapp_operator::observe::cluster::caches::{Observed, Scope};
use scalableapp_operator::observe::cluster::children::Children;
use scalableapp_operator::resolve::resolve;
use serde_json::{Value, json};

use crate::fake::{client, lead, not_found};

/// A child of the read replicas `main` of the app `shop`.
fn child() -> Value {
    json!({
        "metadata": {
            "name": "shop-main", "namespace": "store", "uid": "child", "resourceVersion": "1",
            "labels": {"scalableapp.dev/app": "shop", "scalableapp.dev/component": "main"},
            "ownerReferences": [{
                "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": "shop", "uid": "shop",
                "controller": true,
            }],
        },
        "spec": {"replicas": 2},
    })
}

/// The children that are deleted of all that read replicas have, where the app has these services now.
async fn deleted(services: &Value) -> Vec<String> {
    deleted_while(services, Removed::default()).await
}

/// The same while data tiers leave.
async fn deleted_while(services: &Value, removed: Removed) -> Vec<String> {
    let deleted = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&deleted);
    let client = client(move |head, body| {
        if head.method == Method::DELETE {
            noted.lock().unwrap().push(head.uri.path().rsplit('/').nth(1).unwrap().to_owned());
        }
        let answer = if head.method == Method::GET { not_found() } else { (StatusCode::OK, body) };
        std::future::ready(answer)
    });
    let writer = Writer::new(client.clone(), lead(client.clone()).await);
    let mut cluster = Watches::new(&Scope::new(client, &[])).cluster;
    for (kind, children) in &mut cluster.others {
        let mut written = store::Writer::new(*kind);
        *children = Children::new(written.as_reader(), *kind);
        let event = Event::Apply(serde_json::from_value::<CachedChild>(child()).unwrap());
        written.apply_watcher_event(&event);
        children.note(&event);
    }
    let workload = Arc::new(vec![Arc::new(serde_json::from_value(child()).unwrap())]);
    let observed =
        Observed { workloads: BTreeMap::from([(Kind::StatefulSet, workload)]), ..Observed::default() };
    let app = json!({
        "metadata": {"name": "shop", "namespace": "store", "uid": "shop", "generation": 2},
        "spec": {"image": "shop:1", "services": services},
    });
    let app = resolve(&serde_json::from_value(app).unwrap()).unwrap();
    let leader = Leader { writer: &writer, cluster: &cluster, epoch: 1 };
    let (mut memory, mut pass) = (ApplyMemory::default(), Pass { removed, ..Pass::default() });
    apply(leader, &app, &observed, BTreeMap::new(), &mut memory, &mut pass).await.unwrap();
    deleted.lock().unwrap().clone()
}

#[tokio::test]
async fn a_database_that_is_removed_takes_all_of_its_replicas_with_it_and_its_pods_go_first() {
    let deleted = deleted(&json!([{"name": "web", "port": 80}])).await;
    let all = [
        "statefulsets",
        "networkpolicies",
        "poddisruptionbudgets",
        "services",
        "configmaps",
        "serviceaccounts",
    ];
    assert_eq!(deleted, all);
}

#[tokio::test]
async fn a_service_with_the_name_of_a_database_before_it_keeps_what_both_have() {
    assert_eq!(deleted(&json!([{"name": "main", "port": 80}])).await, ["statefulsets", "configmaps"]);
}

#[tokio::test]
async fn a_database_that_is_removed_stays_whole_while_pods_of_an_earlier_revision_use_it() {
    let removed = Removed { readers: ["main".to_owned()].into(), ..Removed::default() };
    assert_eq!(deleted_while(&json!([{"name": "web", "port": 80}]), removed).await, [""; 0]);
}
