//! What applying a child promises, against an API server that refuses a budget with two kinds of bounds.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Client;
use kube::client::Body;
use scalableapp_operator::apply::children::{Ensured, Owner, ensure};
use scalableapp_operator::apply::record::Records;
use scalableapp_operator::apply::writer::{WriteError, Writer};
use scalableapp_operator::observe::seen::Seen;
use scalableapp_operator::runtime::lease::Candidate;
use serde_json::{Value, json};

type Budget = Seen<PodDisruptionBudget>;

/// One budget, and whether it may be replaced.
#[derive(Clone)]
struct ApiServer {
    budget: Arc<Mutex<Value>>,
    is_replaceable: bool,
}

impl ApiServer {
    /// With a budget that somebody changed by hand.
    fn new(is_replaceable: bool) -> Self {
        let mut budget = budget(&json!({"minAvailable": 3}));
        budget["metadata"]["resourceVersion"] = json!("7");
        Self { budget: Arc::new(Mutex::new(budget)), is_replaceable }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = serde_json::from_slice(&body.collect_bytes().await?).unwrap_or_default();
                let is_budget = head.uri.path().ends_with("/poddisruptionbudgets/shop-web");
                let (status, answer) = server.answer(head.method.as_str(), is_budget, body);
                let answer = Body::from(serde_json::to_vec(&answer)?);
                Ok::<_, tower::BoxError>(Response::builder().status(status).body(answer)?)
            }
        });
        Client::new(service, "operator")
    }

    fn answer(&self, method: &str, is_budget: bool, body: Value) -> (StatusCode, Value) {
        let refusal = |code: u16, reason: &str, message: &str| {
            let status = json!({"status": "Failure", "reason": reason, "code": code, "message": message});
            (StatusCode::from_u16(code).unwrap(), status)
        };
        let mut budget = self.budget.lock().unwrap();
        match (method, is_budget) {
            ("GET", true) => (StatusCode::OK, budget.clone()),
            ("PATCH", true) => refusal(422, "Invalid", "minAvailable and maxUnavailable cannot be both set"),
            ("PUT", true) if self.is_replaceable => {
                assert_eq!(body["metadata"]["resourceVersion"], budget["metadata"]["resourceVersion"]);
                budget.clone_from(&body);
                (StatusCode::OK, body)
            }
            ("PUT", true) => refusal(403, "Forbidden", "a policy of this cluster says no"),
            ("GET", false) => refusal(404, "NotFound", ""),
            // The lease, which nobody else wants.
            _ => (StatusCode::OK, body),
        }
    }

    async fn ensure(&self, desired: &Value) -> Result<Ensured<Budget>, WriteError> {
        let (candidate, leadership) = Candidate::new(self.client(), "operator", "election", "one");
        tokio::spawn(candidate.run(std::future::pending()));
        leadership.gained().await;
        let writer = Writer::new(self.client(), leadership);
        let owner = Owner { namespace: "shop", uid: "1" };
        ensure(&writer, &mut Records::default(), owner, None, desired).await
    }
}

fn budget(spec: &Value) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": spec,
        "metadata": {"name": "shop-web", "namespace": "shop", "ownerReferences": [
            {"apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp", "name": "shop", "uid": "1", "controller": true},
        ]},
    })
}

#[tokio::test]
async fn what_is_left_of_an_edit_and_contradicts_what_is_wanted_goes() {
    let api = ApiServer::new(true);
    let desired = budget(&json!({"maxUnavailable": "10%"}));
    assert!(matches!(api.ensure(&desired).await, Ok(Ensured::Written(_))));
    assert_eq!(api.budget.lock().unwrap()["spec"], desired["spec"]);
}

#[tokio::test]
async fn where_the_whole_is_refused_too_that_is_what_is_said() {
    let api = ApiServer::new(false);
    let error = api.ensure(&budget(&json!({"maxUnavailable": "10%"}))).await.unwrap_err();
    assert_eq!(error.to_string(), "a policy of this cluster says no");
}
