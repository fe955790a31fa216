//! A pod that alone has an open circuit breaker leaves its Service and is evicted. Against an API server that stores objects,
//! and a Prometheus that knows the breakers of each pod.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::{Json, Router, routing::post};
use futures::StreamExt;
use http::{Method, StatusCode};
use jiff::Timestamp;
use kube::Client;
use scalableapp_crds::Guarded;
use scalableapp_operator::controller::{Context, Watches, reconcile::reconcile};
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::caches::{
    Cluster, GuardedApp, Scope, reflect_children, reflect_pods,
};
use scalableapp_operator::observe::query_plan::QueryPlan;
use scalableapp_operator::resolve::resolve;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::fake::{self, Answer, LIMIT, PODS, context_with, failure, lead, not_found};

const TIER: &str = "scalableapp.dev/tier";

/// Objects by path, and the writes of pods in order.
#[derive(Clone)]
struct ApiServer {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    writes: Arc<Mutex<Vec<String>>>,
    evicts: bool,
}

impl ApiServer {
    fn new(evicts: bool) -> Self {
        Self { objects: Arc::default(), writes: Arc::default(), evicts }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        fake::client(move |head, body| {
            let server = server.clone();
            async move { server.answer(&head.method, head.uri.path(), body) }
        })
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> Answer {
        let mut objects = self.objects.lock().unwrap();
        let said = |words: String| self.writes.lock().unwrap().push(words);
        match method.as_str() {
            "GET" if path.ends_with("/deployments") || path.ends_with("/pods") => {
                fake::list(&objects, path.rsplit('/').next().unwrap())
            }
            "GET" => objects.get(path).map_or_else(not_found, |object| (StatusCode::OK, object.clone())),
            "PATCH" if path.starts_with(PODS) => {
                let tier = body["metadata"]["labels"][TIER].clone();
                let pod = objects.get_mut(path).unwrap();
                said(format!("{} of {}: tier {tier}", pod["metadata"]["name"], body["metadata"]["uid"]));
                pod["metadata"]["labels"].as_object_mut().unwrap().remove(TIER);
                (StatusCode::OK, pod.clone())
            }
            "POST" if path.ends_with("/eviction") => {
                let uid = &body["deleteOptions"]["preconditions"]["uid"];
                said(format!("eviction of {uid}"));
                match self.evicts {
                    true => {
                        (StatusCode::CREATED, json!({"kind": "Status", "status": "Success", "code": 201}))
                    }
                    false => failure(
                        StatusCode::TOO_MANY_REQUESTS,
                        "TooManyRequests",
                        "the budget needs 3 healthy pods",
                    ),
                }
            }
            "PATCH" => fake::store(&mut objects, path, body, &fake::KEPT),
            "POST" if path.ends_with("/events") => {
                let name = body["metadata"]["name"].as_str().unwrap();
                objects.insert(format!("{path}/{name}"), body.clone());
                (StatusCode::CREATED, body)
            }
            // The Lease, without another candidate.
            _ => (StatusCode::OK, body),
        }
    }

    /// Gives the service three replicas, which are these pods.
    fn run(&self, pods: [&str; 3]) {
        fake::run(&mut self.objects.lock().unwrap(), pods);
    }

    /// The leader, with Deployments and pods in its caches, that has measured the breakers.
    async fn operator(&self, prometheus: &str) -> Arc<Context> {
        let client = self.client();
        let leadership = lead(client.clone()).await;
        let scope = Scope::new(client.clone(), &[]);
        let (deployments, touched) = reflect_children(&scope, Kind::Deployment);
        tokio::spawn(touched.for_each(|_| async {}));
        timeout(LIMIT, deployments.synced()).await.unwrap().unwrap();
        let (pods, touched) = reflect_pods(&scope);
        tokio::spawn(touched.for_each(|_| async {}));
        timeout(LIMIT, pods.synced()).await.unwrap().unwrap();
        let workloads = BTreeMap::from([(Kind::Deployment, deployments)]);
        let cluster = Cluster { workloads, pods, ..Watches::new(&scope).cluster };
        let operator = context_with(&client, leadership, cluster, prometheus);
        let app = self.app();
        let resolved = resolve(app.0.as_ref().unwrap()).unwrap();
        let wanted = Arc::new(QueryPlan::of([&resolved]));
        let breaker = &resolved.components[0].breakers["payments"];
        let measured = async {
            loop {
                let samples = operator.samples.sample(&wanted, Timestamp::now()).await;
                if samples.circuit(&resolved.components[0].key, "payments", breaker).is_some() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, measured).await.unwrap();
        operator
    }

    /// The app with the last written status.
    fn app(&self) -> Arc<GuardedApp> {
        let objects = self.objects.lock().unwrap();
        let status = objects.iter().find(|(path, _)| path.ends_with("/status"));
        let status = status.map(|(_, object)| object["status"].clone());
        let app = serde_json::from_value(json!({
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
            "metadata": {"name": "shop", "namespace": "store", "uid": "shop", "generation": 1},
            "spec": {
                "image": "shop:1",
                "services": [{"name": "web", "port": 80, "calls": ["payments"],
                    "scaling": {"minReplicas": 3, "maxReplicas": 3}}],
                "dependencies": [{"name": "payments", "circuit": {
                    "prometheus": {"query": "pay", "values": [
                        {"value": 0, "state": "closed"}, {"value": 1, "state": "open"},
                    ]},
                    "ejection": {"after": "0s", "replaceAfter": "1ms"},
                }}],
            },
            "status": status,
        }));
        Arc::new(Guarded(Ok(app.unwrap())))
    }

    /// The service with three pods.
    async fn at_rest(&self, prometheus: &str) {
        reconcile(self.app(), self.operator(prometheus).await).await.unwrap();
        self.run(["a", "b", "c"]);
    }

    fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.writes.lock().unwrap())
    }

    /// Reasons of the events, in order.
    fn events(&self) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        let events = objects.values().filter(|one| one["regarding"].is_object());
        events.map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
    }
}

/// The address of a Prometheus that knows these values of the pods' breakers.
async fn prometheus(pods: [(&'static str, &'static str); 3]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = move |query: String| async move {
        let series = pods
            .map(|(pod, value)| json!({"metric": {"namespace": "store", "pod": pod}, "value": [1_700_000_000.0, value]}));
        let result = if query.contains("pay") { json!(series) } else { json!([]) };
        Json(json!({"status": "success", "data": {"resultType": "vector", "result": result}}))
    };
    let router = Router::new().route("/api/v1/query", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_pod_that_alone_has_an_open_breaker_loses_the_label_that_its_service_selects() {
    let api = ApiServer::new(true);
    let bad = prometheus([("a", "0"), ("b", "0"), ("c", "1")]).await;
    api.at_rest(&bad).await;
    reconcile(api.app(), api.operator(&bad).await).await.unwrap();
    assert_eq!(api.take_writes(), ["\"c\" of \"uid-c\": tier null"]);
    let service = api.objects.lock().unwrap()["/api/v1/namespaces/store/services/shop-web"].clone();
    assert_eq!(service["spec"]["selector"][TIER], "service");
    let operator = api.operator(&bad).await;
    reconcile(api.app(), Arc::clone(&operator)).await.unwrap();
    assert_eq!(api.take_writes(), Vec::<String>::new(), "it is out already");
    tokio::time::sleep(Duration::from_millis(2)).await;
    reconcile(api.app(), Arc::clone(&operator)).await.unwrap();
    assert_eq!(api.take_writes(), ["eviction of \"uid-c\""]);
    reconcile(api.app(), operator).await.unwrap();
    assert_eq!(api.take_writes(), Vec::<String>::new(), "once");
    assert!(api.events().contains(&"PodReplaced".to_owned()), "{:?}", api.events());
}

#[tokio::test]
async fn an_eviction_that_a_budget_refuses_is_not_repeated_at_once() {
    let api = ApiServer::new(false);
    let bad = prometheus([("a", "0"), ("b", "0"), ("c", "1")]).await;
    api.at_rest(&bad).await;
    reconcile(api.app(), api.operator(&bad).await).await.unwrap();
    api.take_writes();
    let operator = api.operator(&bad).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        reconcile(api.app(), Arc::clone(&operator)).await.unwrap();
    }
    assert_eq!(api.take_writes(), ["eviction of \"uid-c\""]);
    assert!(!api.events().contains(&"PodReplaced".to_owned()));
}

#[tokio::test]
async fn a_dependency_that_all_pods_see_open_writes_no_pod() {
    let api = ApiServer::new(true);
    let open = prometheus([("a", "1"), ("b", "1"), ("c", "1")]).await;
    api.at_rest(&open).await;
    let operator = api.operator(&open).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        reconcile(api.app(), Arc::clone(&operator)).await.unwrap();
    }
    assert_eq!(api.take_writes(), Vec::<String>::new());
}
