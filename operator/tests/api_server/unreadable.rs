//! An unreadable object does not affect the others of its list.

use std::fmt::Debug;
use std::hash::Hash;

use futures::StreamExt;
use http::StatusCode;
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::cached::{CachedChild, CachedWorkload};
use scalableapp_operator::observe::cluster::caches::{
    Scope, Touched, reflect_children, reflect_pods, reflect_written,
};
use scalableapp_operator::observe::cluster::children::Children;
use scalableapp_operator::observe::cluster::labelled::Labelled;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::fake::{self, LIMIT};

/// A server with three objects in each list: a readable one, one with an invalid time that is not read, and an
/// unreadable one.
fn client() -> Client {
    fake::client(|_, _| async move {
        let items = [good("good"), time("time"), unreadable("bad")];
        (StatusCode::OK, json!({"metadata": {"resourceVersion": "1"}, "items": items}))
    })
}

fn good(name: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "store", "uid": name,
            "labels": {"scalableapp.dev/app": "shop", "scalableapp.dev/component": "web",
                "scalableapp.dev/revision": "1", "pod-template-hash": "2"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-web-1-2", "uid": "1",
                "controller": true}],
        },
        // Required fields of an app and an override.
        "spec": {"services": [], "app": "shop", "by": "jane", "reason": "a test", "expiresAt": "2026-01-01T00:00:00Z"},
    })
}

fn time(name: &str) -> Value {
    let mut object = good(name);
    object["metadata"]["managedFields"] = json!([{"manager": "m", "time": "9999-12-31T23:59:59Z"}]);
    object
}

/// Its metadata, spec and status have invalid values.
fn unreadable(name: &str) -> Value {
    let mut object = good(name);
    object["metadata"]["creationTimestamp"] = json!("9999-12-31T23:59:59Z");
    object["spec"]["expiresAt"] = json!("9999-12-31T23:59:59Z");
    object["status"] = json!({"startTime": "9999-12-31T23:59:59Z"});
    object
}

/// Names of the children of the app, and the error of the third one.
async fn children<K>((children, touched): (Children<K>, Touched<K>)) -> (Vec<String>, bool)
where
    K: Labelled + Resource + Clone + Send + Sync + 'static,
    K::DynamicType: Copy + Eq + Hash + Send + Sync,
{
    tokio::spawn(touched.for_each(|_| async {}));
    timeout(LIMIT, children.synced()).await.unwrap().unwrap();
    let of_app = children.of_app("store", "shop");
    let names = of_app.iter().map(|one| one.meta().name.clone().unwrap()).collect();
    (names, children.get("store", "bad").unwrap().unreadable().is_some())
}

/// The readable objects among those that users wrote.
async fn written<K>() -> Vec<(String, bool)>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let (store, touched) = reflect_written::<K>(&Scope::new(client(), &[]));
    tokio::spawn(touched.for_each(|_| async {}));
    timeout(LIMIT, store.wait_until_ready()).await.unwrap().unwrap();
    let mut found: Vec<_> =
        store.state().iter().map(|one| (one.meta().name.clone().unwrap(), one.0.is_ok())).collect();
    found.sort();
    found
}

#[tokio::test]
async fn one_unreadable_object_of_a_kind_is_left_out_alone() {
    let kept = (vec!["good".to_owned(), "time".to_owned()], true);
    let scope = Scope::new(client(), &[]);
    assert_eq!(children(reflect_pods(&scope)).await, kept);
    assert_eq!(children(reflect_children::<CachedWorkload>(&scope, Kind::Deployment)).await, kept);
    for kind in Kind::ALL {
        assert_eq!(children(reflect_children::<CachedChild>(&scope, kind)).await, kept, "{kind:?}");
    }
    let readable = [("bad", false), ("good", true), ("time", true)].map(|(name, is)| (name.to_owned(), is));
    assert_eq!(written::<scalableapp_crds::ScalableApp>().await, readable);
    assert_eq!(written::<scalableapp_crds::ScalingOverride>().await, readable);
}
