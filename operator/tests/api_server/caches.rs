//! The password and the children of a cache, against an API server that stores objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use http::{Method, StatusCode};
use kube::Client;
use scalableapp_crds::Guarded;
use scalableapp_operator::controller::{Context, Watches, reconcile::reconcile};
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::caches::{
    Cluster, GuardedApp, Scope, reflect_children, reflect_pods,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::fake::{self, Answer, LIMIT, context, failure, lead, not_found};

const SECRET: &str = "/api/v1/namespaces/store/secrets/shop-sessions-shop";
const SHARDS: &str = "/apis/apps/v1/namespaces/store/statefulsets/shop-sessions";
const SETTINGS: &str = "/api/v1/namespaces/store/configmaps/shop-web";

/// Objects by path, and the requests about children in order, as method and path.
#[derive(Clone, Default)]
struct ApiServer {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    requests: Arc<Mutex<Vec<String>>>,
    /// The notes of the events.
    events: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    fn client(&self) -> Client {
        let server = self.clone();
        fake::client(move |head, body| {
            let server = server.clone();
            async move {
                let path = head.uri.path();
                if path.contains("/events") {
                    server.events.lock().unwrap().push(body["note"].as_str().unwrap_or_default().to_owned());
                }
                if !path.contains("/leases") && !path.contains("/events") {
                    server.requests.lock().unwrap().push(format!("{} {path}", head.method));
                }
                server.answer(&head.method, path, body)
            }
        })
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> Answer {
        let mut objects = self.objects.lock().unwrap();
        let plural = path.rsplit('/').next().unwrap();
        match method.as_str() {
            "GET" if plural == "pods" || Kind::ALL.iter().any(|kind| kind.plural() == plural) => {
                fake::list(&objects, plural)
            }
            "GET" => objects.get(path).map_or_else(not_found, |object| (StatusCode::OK, object.clone())),
            "PATCH" => {
                fake::store(&mut objects, path, body, &["metadata.labels", "metadata.ownerReferences"])
            }
            "POST" if path.ends_with("/secrets") => {
                let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
                if objects.contains_key(&path) {
                    return failure(StatusCode::CONFLICT, "AlreadyExists", "secrets \"…\" already exists");
                }
                objects.insert(path, body.clone());
                (StatusCode::CREATED, body)
            }
            "DELETE" => {
                objects.remove(path);
                (StatusCode::OK, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            // The Lease, without another candidate, and events.
            _ => (StatusCode::OK, body),
        }
    }

    /// The leader, with the existing children in its caches.
    async fn operator(&self) -> Arc<Context> {
        let client = self.client();
        let leadership = lead(client.clone()).await;
        let scope = Scope::new(client.clone(), &[]);
        let (mut workloads, mut others) = (BTreeMap::new(), BTreeMap::new());
        for kind in Kind::ALL {
            if kind.is_workload() {
                let (store, touched) = reflect_children(&scope, kind);
                tokio::spawn(touched.for_each(|_| async {}));
                timeout(LIMIT, store.synced()).await.unwrap().unwrap();
                workloads.insert(kind, store);
            } else {
                let (store, touched) = reflect_children(&scope, kind);
                tokio::spawn(touched.for_each(|_| async {}));
                timeout(LIMIT, store.synced()).await.unwrap().unwrap();
                others.insert(kind, store);
            }
        }
        let (pods, touched) = reflect_pods(&scope);
        tokio::spawn(touched.for_each(|_| async {}));
        timeout(LIMIT, pods.synced()).await.unwrap().unwrap();
        self.requests.lock().unwrap().clear();
        context(&client, leadership, Cluster { workloads, others, pods, ..Watches::new(&scope).cluster })
    }

    /// The app of this generation with these caches, and with the last written status.
    fn app(&self, generation: i64, caches: &[&str]) -> Arc<GuardedApp> {
        let objects = self.objects.lock().unwrap();
        let status = objects.iter().find(|(path, _)| path.ends_with("/status"));
        let status = status.map(|(_, object)| object["status"].clone());
        let cache =
            |name: &&str| json!({"name": name, "redis": {"shards": {"min": 1, "max": 1}, "memory": "64Mi"}});
        let caches: Vec<Value> = caches.iter().map(cache).collect();
        let app = serde_json::from_value(json!({
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
            "metadata": {"name": "shop", "namespace": "store", "uid": "shop", "generation": generation},
            "spec": {"image": "shop:1", "services": [{"name": "web", "port": 80}], "caches": caches},
            "status": status,
        }));
        Arc::new(Guarded(Ok(app.unwrap())))
    }

    fn has(&self, path: &str) -> bool {
        self.objects.lock().unwrap().contains_key(path)
    }

    /// The place of a request among all.
    fn place(&self, request: &str) -> Option<usize> {
        self.requests.lock().unwrap().iter().position(|one| one == request)
    }

    /// Requests that change something.
    fn writes(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|one| !one.starts_with("GET")).cloned().collect()
    }

    fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }

    fn password(&self) -> String {
        self.objects.lock().unwrap()[SECRET]["stringData"]["password"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_password_is_made_once_before_the_pods_that_get_it_and_is_in_no_other_object() {
    let api = ApiServer::default();
    let operator = api.operator().await;
    reconcile(api.app(1, &["sessions"]), Arc::clone(&operator)).await.unwrap();
    let secret = api.place("POST /api/v1/namespaces/store/secrets").unwrap();
    let web =
        api.requests.lock().unwrap().iter().position(|one| one.contains("deployments/shop-web")).unwrap();
    assert!(secret < api.place(&format!("PATCH {SHARDS}")).unwrap());
    assert!(secret < web, "{:?}", api.requests.lock().unwrap());
    let password = api.password();
    for (path, object) in api.objects.lock().unwrap().iter().filter(|(path, _)| *path != SECRET) {
        assert!(!object.to_string().contains(&password), "{path}");
    }
    reconcile(api.app(1, &["sessions"]), Arc::clone(&operator)).await.unwrap();
    api.requests.lock().unwrap().clear();
    reconcile(api.app(1, &["sessions"]), operator).await.unwrap();
    assert_eq!(api.writes(), Vec::<String>::new(), "at rest nothing is written");
}

#[tokio::test]
async fn the_next_leader_keeps_the_password_and_says_nothing_of_it() {
    let api = ApiServer::default();
    reconcile(api.app(1, &["sessions"]), api.operator().await).await.unwrap();
    let password = api.password();
    reconcile(api.app(1, &["sessions"]), api.operator().await).await.unwrap();
    assert_eq!(api.password(), password);
    let status =
        api.objects.lock().unwrap().iter().find(|(path, _)| path.ends_with("/status")).unwrap().1.clone();
    assert!(!status.to_string().contains("Secret"), "{status}");
}

#[tokio::test]
async fn a_removed_cache_stays_while_it_is_used_goes_with_its_settings_and_leaves_its_password() {
    let api = ApiServer::default();
    reconcile(api.app(1, &["sessions"]), api.operator().await).await.unwrap();
    assert!(api.has(SHARDS) && api.has(SETTINGS) && api.has(SECRET));
    let addresses = api.objects.lock().unwrap()[SETTINGS]["data"].clone();
    let earlier: Vec<String> =
        api.objects.lock().unwrap().keys().filter(|path| path.contains("/shop-web-")).cloned().collect();
    reconcile(api.app(2, &[]), api.operator().await).await.unwrap();
    assert!(api.has(SHARDS), "the earlier revision uses it");
    assert_eq!(api.objects.lock().unwrap()[SETTINGS]["data"], addresses);

    api.objects.lock().unwrap().retain(|path, _| !earlier.contains(path));
    reconcile(api.app(2, &[]), api.operator().await).await.unwrap();
    let left: Vec<String> =
        api.objects.lock().unwrap().keys().filter(|path| path.contains("shop-sessions")).cloned().collect();
    assert_eq!(left, [SECRET]);
    assert!(!api.has(SETTINGS));
    let requests = api.requests.lock().unwrap();
    assert!(!requests.iter().any(|one| one.contains("/secrets")), "{requests:?}");
}

/// A shard whose containers are not created, for this reason.
fn waiting_shard(reason: &str) -> Value {
    let labels = json!({"scalableapp.dev/app": "shop", "scalableapp.dev/component": "sessions"});
    let container = json!({
        "name": "sessions", "image": "valkey", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": "secret \"shop-sessions-shop\" not found"}},
    });
    json!({
        "metadata": {"name": "shop-sessions-0", "namespace": "store", "uid": "pod", "resourceVersion": "1",
            "labels": labels, "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet",
                "name": "shop-sessions", "uid": "set", "controller": true}]},
        "spec": {"containers": [{"name": "sessions"}]},
        "status": {"phase": "Pending", "containerStatuses": [container]},
    })
}

#[tokio::test]
async fn a_deleted_password_is_made_anew_for_the_pods_that_wait_for_it_and_that_is_said() {
    let api = ApiServer::default();
    reconcile(api.app(1, &["sessions"]), api.operator().await).await.unwrap();
    let password = api.password();
    api.objects.lock().unwrap().remove(SECRET);
    let pod = "/api/v1/namespaces/store/pods/shop-sessions-0";
    api.objects.lock().unwrap().insert(pod.to_owned(), waiting_shard("CreateContainerConfigError"));
    let operator = api.operator().await;
    reconcile(api.app(1, &["sessions"]), Arc::clone(&operator)).await.unwrap();
    assert_ne!(api.password(), password);
    assert!(
        api.events()
            .iter()
            .any(|note| note.contains("Secret shop-sessions-shop: The Secret of a cache was missing"))
    );
    reconcile(api.app(1, &["sessions"]), operator).await.unwrap();
    let made = api.requests.lock().unwrap().iter().filter(|one| one.starts_with("POST")).count();
    assert_eq!(made, 1, "not again before its time");
}
