//! A client of an API server that is a function.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use scalableapp_operator::apply::{events::Events, writer::Writer};
use scalableapp_operator::controller::{Context, memory::Memories};
use scalableapp_operator::observe::cluster::caches::Cluster;
use scalableapp_operator::observe::{prometheus::client::Prometheus, store::SampleStore};
use scalableapp_operator::runtime::args::Args;
use scalableapp_operator::runtime::decision_log::DecisionLog;
use scalableapp_operator::runtime::lease::{Candidate, Leadership};
use serde_json::{Value, json};
use tokio::time::timeout;

/// No operation here takes this long unless it hangs.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A status and a body.
pub type Answer = (StatusCode, Value);

/// A client whose requests are answered by `answer`, except for watches, which stay without an answer; an empty body becomes
/// null.
pub fn client<A, F>(answer: A) -> Client
where
    A: Fn(Parts, Value) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send,
{
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = serde_json::from_slice(&body.collect_bytes().await?).unwrap_or_default();
            let is_watch = head.uri.query().is_some_and(|query| query.contains("watch=true"));
            let answer = answer(head, body);
            if is_watch {
                pending::<()>().await;
            }
            let (status, answer) = answer.await;
            let answer = Body::from(serde_json::to_vec(&answer)?);
            Ok::<_, tower::BoxError>(Response::builder().status(status).body(answer)?)
        }
    });
    Client::new(service, "operator")
}

/// The pods of the namespace of the tests.
pub const PODS: &str = "/api/v1/namespaces/store/pods";

/// What an apply leaves as it is unless it names it.
pub const KEPT: [&str; 5] =
    ["metadata.namespace", "metadata.labels", "metadata.ownerReferences", "spec.template", "spec.replicas"];

/// Gives the stored Deployment three replicas, which are these pods.
pub fn run(objects: &mut BTreeMap<String, Value>, pods: [&str; 3]) {
    let (path, deployment) = objects.iter_mut().find(|(path, _)| path.contains("/deployments/")).unwrap();
    deployment["spec"]["replicas"] = json!(3);
    let mut labels = deployment["metadata"]["labels"].clone();
    labels["pod-template-hash"] = json!("1");
    let owner = format!("{}-1", path.rsplit('/').next().unwrap());
    let owners = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": "1", "controller": true,
    }]);
    for name in pods {
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let pod = json!({
            "metadata": {"name": name, "namespace": "store", "uid": format!("uid-{name}"), "labels": labels,
                "ownerReferences": owners},
            "spec": {"containers": []},
            "status": {"phase": "Running", "conditions": [ready]},
        });
        objects.insert(format!("{PODS}/{name}"), pod);
    }
}

/// Stores what an apply sends, and answers with it. What it does not send of these fields stays.
pub fn store(objects: &mut BTreeMap<String, Value>, path: &str, mut body: Value, kept: &[&str]) -> Answer {
    let known = objects.get(path).cloned().unwrap_or_else(|| json!({"spec": {}}));
    for field in kept {
        let (part, field) = field.split_once('.').unwrap();
        if body[part][field].is_null() {
            body[part][field] = known[part][field].clone();
        }
    }
    (body["metadata"]["uid"], body["metadata"]["resourceVersion"]) = (json!(path), json!("1"));
    if path.ends_with("/status") {
        body["spec"] = json!({"services": []});
    }
    objects.insert(path.to_owned(), body.clone());
    (StatusCode::OK, body)
}

/// The list of the stored objects of a kind.
pub fn list(objects: &BTreeMap<String, Value>, plural: &str) -> Answer {
    let of_kind = objects.iter().filter(|(path, _)| path.contains(&format!("/{plural}/")));
    let items: Vec<&Value> = of_kind.map(|(_, object)| object).collect();
    (StatusCode::OK, json!({"metadata": {"resourceVersion": "1"}, "items": items}))
}

/// The answer to an unsupported request.
pub fn failure(code: StatusCode, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message,
        "code": code.as_u16(),
    });
    (code, status)
}

/// The answer to a request for a missing object.
pub fn not_found() -> Answer {
    failure(StatusCode::NOT_FOUND, "NotFound", "not found")
}

/// Waits for the Lease.
pub async fn lead(client: Client) -> Leadership {
    let (candidate, leadership) = Candidate::new(client, "operator", "election", "one");
    tokio::spawn(candidate.run(pending()));
    timeout(LIMIT, leadership.gained()).await.unwrap();
    leadership
}

/// The shared parts of a pass, with a Prometheus that does not answer.
pub fn context(client: &Client, leadership: Leadership, cluster: Cluster) -> Arc<Context> {
    context_with(client, leadership, cluster, "http://127.0.0.1:1")
}

/// The shared parts of a pass, with the Prometheus at this address.
pub fn context_with(
    client: &Client,
    leadership: Leadership,
    cluster: Cluster,
    prometheus: &str,
) -> Arc<Context> {
    let writer = Writer::new(client.clone(), leadership);
    let given = ["operator", "--lease-namespace", "operator", "--prometheus-url", prometheus];
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
