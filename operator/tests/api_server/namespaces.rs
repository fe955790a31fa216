//! An operator of some namespaces reads nothing outside of them, and one with excluded namespaces nothing inside.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use http::StatusCode;
use kube::Client;
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::cached::CachedChild;
use scalableapp_operator::observe::cluster::caches::{
    Scope, reflect_children, reflect_pods, reflect_written,
};
use scalableapp_operator::observe::cluster::reachable::reachable;
use serde_json::json;
use tokio::time::timeout;

use crate::fake::{self, LIMIT, failure};

/// A server with one object of each kind in each namespace; it records the requests.
fn client(asked: &Arc<Mutex<Vec<String>>>) -> Client {
    let asked = Arc::clone(asked);
    fake::client(move |head, _| {
        let path = head.uri.path().to_owned();
        asked.lock().unwrap().push(head.uri.to_string());
        async move {
            let namespace = path.split("/namespaces/").nth(1).and_then(|rest| rest.split('/').next());
            let metadata = json!({
                "name": "shop", "namespace": namespace, "uid": namespace, "generation": 1,
                "labels": {"scalableapp.dev/app": "shop", "scalableapp.dev/component": "web"},
            });
            let item = json!({"metadata": metadata, "spec": {"services": []}});
            (StatusCode::OK, json!({"metadata": {"resourceVersion": "1"}, "items": [item]}))
        }
    })
}

#[tokio::test]
async fn a_namespace_without_a_role_is_left_out() {
    let client = fake::client(|head, _| async move {
        match head.uri.path().contains("/namespaces/blog/pods") {
            true => failure(StatusCode::FORBIDDEN, "Forbidden", "pods is forbidden"),
            false => (StatusCode::OK, json!({"items": []})),
        }
    });
    let named = ["shop".to_owned(), String::new(), "blog".to_owned()];
    let found = reachable(&client, &named).await;
    assert_eq!(found, (vec!["shop".to_owned()], vec!["blog".to_owned()]));
}

#[tokio::test]
async fn every_list_and_watch_leaves_excluded_namespaces_out() {
    let asked = Arc::default();
    let excluded = ["shop".to_owned(), String::new(), "blog".to_owned()];
    let scope = Scope::all_but(client(&asked), &excluded);
    let (apps, touched) = reflect_written::<scalableapp_crds::ScalableApp>(&scope);
    tokio::spawn(touched.for_each(|_| async {}));
    timeout(LIMIT, apps.wait_until_ready()).await.unwrap().unwrap();
    let (pods, touched) = reflect_pods(&scope);
    tokio::spawn(touched.for_each(|_| async {}));
    timeout(LIMIT, pods.synced()).await.unwrap().unwrap();
    let asked = asked.lock().unwrap();
    // URL-encoded.
    let selector = "fieldSelector=metadata.namespace%21%3Dblog%2Cmetadata.namespace%21%3Dshop";
    assert!(asked.len() >= 4 && asked.iter().all(|uri| uri.contains(selector)), "{asked:?}");
}

#[tokio::test]
async fn nothing_is_asked_for_outside_of_the_named_namespaces() {
    let asked = Arc::default();
    let scope = Scope::new(client(&asked), &["shop".to_owned(), "blog".to_owned()]);
    let (apps, touched) = reflect_written::<scalableapp_crds::ScalableApp>(&scope);
    tokio::spawn(touched.for_each(|_| async {}));
    timeout(LIMIT, apps.wait_until_ready()).await.unwrap().unwrap();
    assert_eq!(apps.state().len(), 2);
    for kind in Kind::ALL {
        let (children, touched) = reflect_children::<CachedChild>(&scope, kind);
        tokio::spawn(touched.for_each(|_| async {}));
        timeout(LIMIT, children.synced()).await.unwrap().unwrap();
        for namespace in ["shop", "blog"] {
            assert_eq!(children.of_app(namespace, "shop").len(), 1, "{kind:?}");
            assert!(children.get(namespace, "shop").is_some(), "{kind:?}");
        }
    }
    let (pods, touched) = reflect_pods(&scope);
    tokio::spawn(touched.for_each(|_| async {}));
    timeout(LIMIT, pods.synced()).await.unwrap().unwrap();
    assert_eq!(pods.store().state().len(), 2);
    let asked = asked.lock().unwrap();
    let is_inside = |path: &&String| path.contains("/namespaces/shop/") || path.contains("/namespaces/blog/");
    assert!(asked.len() >= 14 && asked.iter().all(|path| is_inside(&path)), "{asked:?}");
}
