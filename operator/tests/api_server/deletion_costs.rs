//! Before a pool of workers shrinks, the pods that run the fewest jobs are told to leave first. Against an API server that
//! stores objects, and a Prometheus that knows the jobs of each pod.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

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

/// Objects by path, and the writes of pods and replicas in order.
#[derive(Clone)]
struct ApiServer {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    writes: Arc<Mutex<Vec<String>>>,
    takes_costs: bool,
}

impl ApiServer {
    fn new(takes_costs: bool) -> Self {
        Self { objects: Arc::default(), writes: Arc::default(), takes_costs }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        fake::client(move |head, body| {
            let server = server.clone();
            async move {
                let query = head.uri.query().unwrap_or_default();
                let path = head.uri.path();
                let last = path.rsplit('/').next().unwrap();
                if head.method == Method::PATCH && path.starts_with(PODS) {
                    let cost = &body["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"];
                    server.writes.lock().unwrap().push(format!("{last} costs {cost}"));
                    if !server.takes_costs {
                        return failure(StatusCode::FORBIDDEN, "Forbidden", "pods is forbidden: no");
                    }
                } else if query.contains("fieldManager=scalableapp-scaler") {
                    let replicas = &body["spec"]["replicas"];
                    server.writes.lock().unwrap().push(format!("{replicas} replicas"));
                }
                server.answer(&head.method, path, body)
            }
        })
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> Answer {
        let mut objects = self.objects.lock().unwrap();
        match method.as_str() {
            "GET" if path.ends_with("/deployments") || path.ends_with("/pods") => {
                fake::list(&objects, path.rsplit('/').next().unwrap())
            }
            "GET" => objects.get(path).map_or_else(not_found, |object| (StatusCode::OK, object.clone())),
            "PATCH" if path.starts_with(PODS) => (StatusCode::OK, objects[path].clone()),
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

    /// Gives the pool three replicas, which are these pods.
    fn run(&self, pods: [&str; 3]) {
        fake::run(&mut self.objects.lock().unwrap(), pods);
    }

    /// The leader, with Deployments and pods in its caches.
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
        context_with(&client, leadership, cluster, prometheus)
    }

    /// The app of this generation with the last written status.
    fn app(&self, generation: i64, replicas: i32) -> Arc<GuardedApp> {
        let objects = self.objects.lock().unwrap();
        let status = objects.iter().find(|(path, _)| path.ends_with("/status"));
        let status = status.map(|(_, object)| object["status"].clone());
        let app = serde_json::from_value(json!({
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
            "metadata": {"name": "shop", "namespace": "store", "uid": "shop", "generation": generation},
            "spec": {"image": "shop:1", "services": [{"name": "web", "port": 80}], "workers": [{
                "name": "mail", "metricsPort": 9090,
                "scaling": {"minReplicas": replicas, "maxReplicas": replicas},
            }]},
            "status": status,
        }));
        Arc::new(Guarded(Ok(app.unwrap())))
    }

    /// The pool at rest with three pods, and its operator, which has measured their jobs.
    async fn at_rest(&self) -> Arc<Context> {
        let prometheus = prometheus([("a", "3"), ("b", "0"), ("c", "1")]).await;
        reconcile(self.app(1, 3), self.operator(&prometheus).await).await.unwrap();
        self.run(["a", "b", "c"]);
        let operator = self.operator(&prometheus).await;
        let app = self.app(1, 3);
        let resolved = resolve(app.0.as_ref().unwrap()).unwrap();
        operator.samples.sample(&Arc::new(QueryPlan::of([&resolved])), Timestamp::now()).await;
        operator
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

/// The address of a Prometheus that knows the running jobs of these pods.
async fn prometheus(pods: [(&'static str, &'static str); 3]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = move |query: String| async move {
        let series = pods.map(|(pod, jobs)| {
            json!({"metric": {"namespace": "store", "pod": pod}, "value": [1_700_000_000.0, jobs]})
        });
        let result = if query.contains("jobs_in_flight") { json!(series) } else { json!([]) };
        Json(json!({"status": "success", "data": {"resultType": "vector", "result": result}}))
    };
    let router = Router::new().route("/api/v1/query", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn the_idle_pod_is_told_to_leave_before_the_replicas_are_lowered() {
    let api = ApiServer::new(true);
    let operator = api.at_rest().await;
    api.take_writes();
    reconcile(api.app(1, 3), Arc::clone(&operator)).await.unwrap();
    assert_eq!(api.take_writes(), Vec::<String>::new(), "at rest no pod is written");
    reconcile(api.app(2, 2), operator).await.unwrap();
    assert_eq!(api.take_writes(), ["b costs \"-1\"", "2 replicas"]);
}

#[tokio::test]
async fn costs_that_are_refused_are_told_and_do_not_stop_the_scale_in() {
    let api = ApiServer::new(false);
    let operator = api.at_rest().await;
    api.take_writes();
    reconcile(api.app(2, 1), Arc::clone(&operator)).await.unwrap();
    let writes = api.take_writes();
    assert_eq!(writes.last().map(String::as_str), Some("1 replicas"), "{writes:?}");
    assert!(!api.events().contains(&"DeletionCostNotWritten".to_owned()));
    reconcile(api.app(2, 1), operator).await.unwrap();
    assert!(api.events().contains(&"DeletionCostNotWritten".to_owned()), "{:?}", api.events());
}
