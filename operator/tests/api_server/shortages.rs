//! Why a StatefulSet lacks pods is read from its events, and from nothing while it has them. Against an API server that stores
//! objects, and that answers of one of two StatefulSets only.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use http::{Method, StatusCode};
use jiff::Timestamp;
use kube::Client;
use kube::runtime::reflector::ObjectRef;
use scalableapp_crds::Guarded;
use scalableapp_operator::controller::{Context, Watches, reconcile::reconcile, refusals};
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::caches::{Cluster, GuardedApp, Scope, app_ref, reflect_children};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::fake::{self, Answer, LIMIT, context, lead, not_found};

const EVENTS: &str = "/api/v1/namespaces/store/events";
const SHARDS: &str = "/apis/apps/v1/namespaces/store/statefulsets/shop-";

/// Objects by path, and the questions for events in order.
#[derive(Clone, Default)]
struct ApiServer {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    questions: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    fn client(&self) -> Client {
        let server = self.clone();
        fake::client(move |head, body| {
            let server = server.clone();
            async move {
                if head.method == Method::GET && head.uri.path() == EVENTS {
                    let query = head.uri.query().unwrap_or_default().to_owned();
                    let is_answered = query.contains("shop-hot");
                    server.questions.lock().unwrap().push(query);
                    return if is_answered { events() } else { pending().await };
                }
                server.answer(&head.method, head.uri.path(), body)
            }
        })
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> Answer {
        let mut objects = self.objects.lock().unwrap();
        match method.as_str() {
            "GET" if path.ends_with("/statefulsets") => fake::list(&objects, "statefulsets"),
            "GET" => objects.get(path).map_or_else(not_found, |object| (StatusCode::OK, object.clone())),
            "PATCH" => fake::store(&mut objects, path, body, &fake::KEPT),
            // The Lease, without another candidate, and events.
            _ => (StatusCode::OK, body),
        }
    }

    /// Gives each of two caches this many of its two shards.
    fn create(&self, pods: i32) {
        let mut objects = self.objects.lock().unwrap();
        let caches = objects.iter_mut().filter(|(path, _)| path.starts_with(SHARDS));
        let caches: Vec<&mut Value> = caches.map(|(_, shards)| shards).collect();
        assert_eq!(caches.len(), 2);
        for shards in caches {
            shards["spec"]["replicas"] = json!(2);
            shards["metadata"]["generation"] = json!(1);
            shards["status"] = json!({"observedGeneration": 1, "replicas": pods, "readyReplicas": pods});
        }
    }

    /// The leader, with the StatefulSets in its caches.
    async fn operator(&self) -> Arc<Context> {
        let client = self.client();
        let leadership = lead(client.clone()).await;
        let scope = Scope::new(client.clone(), &[]);
        let (stateful_sets, touched) = reflect_children(&scope, Kind::StatefulSet);
        tokio::spawn(touched.for_each(|_| async {}));
        timeout(LIMIT, stateful_sets.synced()).await.unwrap().unwrap();
        let workloads = BTreeMap::from([(Kind::StatefulSet, stateful_sets)]);
        context(&client, leadership, Cluster { workloads, ..Watches::new(&scope).cluster })
    }

    /// The app with the last written status.
    fn app(&self) -> Arc<GuardedApp> {
        let cache = |name| json!({"name": name, "redis": {"shards": {"min": 2, "max": 2}, "memory": "64Mi"}});
        let app = serde_json::from_value(json!({
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
            "metadata": {"name": "shop", "namespace": "store", "uid": "shop", "generation": 1},
            "spec": {"image": "shop:1", "services": [{"name": "web", "port": 80}], "caches": [cache("cold"), cache("hot")]},
            "status": self.status(),
        }));
        Arc::new(Guarded(Ok(app.unwrap())))
    }

    fn status(&self) -> Option<Value> {
        let objects = self.objects.lock().unwrap();
        let status = objects.iter().find(|(path, _)| path.ends_with("/scalableapps/shop/status"));
        status.map(|(_, object)| object["status"].clone())
    }

    /// Reason and message of `ScalingLimited`.
    fn limit(&self) -> (String, String) {
        let status = self.status().unwrap();
        let conditions = status["conditions"].as_array().unwrap();
        let limited = conditions.iter().find(|one| one["type"] == "ScalingLimited").unwrap();
        let text = |field: &str| limited[field].as_str().unwrap().to_owned();
        (text("reason"), text("message"))
    }

    fn questions(&self) -> Vec<String> {
        self.questions.lock().unwrap().clone()
    }
}

/// The events of a StatefulSet whose second pod a quota refuses.
fn events() -> Answer {
    let message = "create Pod shop-hot-1 in StatefulSet shop-hot failed error: pods \"shop-hot-1\" is forbidden: \
        exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3";
    let event =
        json!({"message": message, "lastTimestamp": Timestamp::now().to_string(), "reason": "FailedCreate"});
    (StatusCode::OK, json!({"metadata": {}, "items": [event]}))
}

/// The apps that the loop reconciles.
fn start(operator: &Arc<Context>) -> mpsc::Receiver<ObjectRef<GuardedApp>> {
    let (triggers, triggered) = mpsc::channel(8);
    tokio::spawn(refusals::run(Arc::clone(operator), triggers, pending()));
    triggered
}

#[tokio::test]
async fn refused_pods_of_a_cache_are_told_in_the_words_of_the_api_server() {
    let api = ApiServer::default();
    reconcile(api.app(), api.operator().await).await.unwrap();
    api.create(1);
    let operator = api.operator().await;
    let mut triggered = start(&operator);
    let app = timeout(LIMIT, triggered.recv()).await.expect("the other cache keeps it waiting");
    assert_eq!(app, Some(app_ref("store", "shop")));
    let mut questions = api.questions();
    questions.sort();
    let of = |name: &str| {
        let uid = format!("{SHARDS}{name}").replace('/', "%2F");
        format!("&fieldSelector=involvedObject.uid%3D{uid}%2Creason%3DFailedCreate&limit=32")
    };
    assert_eq!(questions, [of("cold"), of("hot")]);
    reconcile(api.app(), operator).await.unwrap();
    let (reason, message) = api.limit();
    assert_eq!(reason, "PodsRefused");
    assert!(
        message.starts_with("hot: 1 of 2 replicas are ready: the API server refuses pods of revision "),
        "{message}"
    );
    assert!(
        message.ends_with(": exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3"),
        "{message}"
    );
}

#[tokio::test]
async fn no_events_are_read_while_every_statefulset_has_its_pods() {
    let api = ApiServer::default();
    reconcile(api.app(), api.operator().await).await.unwrap();
    api.create(2);
    let operator = api.operator().await;
    let mut triggered = start(&operator);
    sleep(Duration::from_secs(4)).await;
    assert!(triggered.try_recv().is_err());
    assert_eq!(api.questions(), [""; 0]);
}
