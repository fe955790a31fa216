//! Applying a child, against an API server that refuses a budget with two kinds of bounds.

use std::future::ready;
use std::sync::{Arc, Mutex};

use http::StatusCode;
use jiff::Timestamp;
use kube::Client;
use scalableapp_operator::apply::children::{Ensured, Owner, ensure};
use scalableapp_operator::apply::record::Records;
use scalableapp_operator::apply::writer::{WriteError, Writer};
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::cached::CachedChild;
use serde_json::{Value, json};

use crate::fake::{Answer, client, failure, lead, not_found};

type Budget = CachedChild;

/// One budget, and whether it may be replaced.
#[derive(Clone)]
struct ApiServer {
    budget: Arc<Mutex<Value>>,
    is_replaceable: bool,
}

impl ApiServer {
    /// With a budget that somebody edited.
    fn new(is_replaceable: bool) -> Self {
        let mut budget = budget(&json!({"minAvailable": 3}));
        budget["metadata"]["resourceVersion"] = json!("7");
        Self { budget: Arc::new(Mutex::new(budget)), is_replaceable }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        client(move |head, body| {
            if head.uri.path().ends_with("/scalableapps") {
                let metadata = json!({"name": "shop", "namespace": "shop", "uid": "1"});
                let items = json!([{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata}]);
                return ready((StatusCode::OK, json!({"metadata": {}, "items": items})));
            }
            let is_budget = head.uri.path().ends_with("/poddisruptionbudgets/shop-web");
            ready(server.answer(head.method.as_str(), is_budget, body))
        })
    }

    fn answer(&self, method: &str, is_budget: bool, body: Value) -> Answer {
        let mut budget = self.budget.lock().unwrap();
        match (method, is_budget) {
            ("GET", true) => (StatusCode::OK, budget.clone()),
            ("PATCH", true) => {
                let message = "minAvailable and maxUnavailable cannot be both set";
                failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
            }
            ("PUT", true) if self.is_replaceable => {
                assert_eq!(body["metadata"]["resourceVersion"], budget["metadata"]["resourceVersion"]);
                budget.clone_from(&body);
                (StatusCode::OK, body)
            }
            ("PUT", true) => failure(StatusCode::FORBIDDEN, "Forbidden", "a policy of this cluster says no"),
            ("GET", false) => not_found(),
            // The Lease, without another candidate.
            _ => (StatusCode::OK, body),
        }
    }

    async fn ensure(&self, desired: &Value) -> Result<Ensured<Budget>, WriteError> {
        let writer = Writer::new(self.client(), lead(self.client()).await);
        let owner = Owner { namespace: "shop", name: "shop", uid: "1", created: Some(Timestamp::UNIX_EPOCH) };
        ensure(&writer, &mut Records::default(), owner, Kind::PodDisruptionBudget, None, desired, None).await
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

/// An edited budget of the app.
fn changed(change: impl FnOnce(&mut Value)) -> ApiServer {
    let api = ApiServer::new(true);
    {
        let mut budget = api.budget.lock().unwrap();
        budget["metadata"]["labels"] = json!({"scalableapp.dev/app": "shop"});
        budget["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        change(&mut budget);
    }
    api
}

fn of_shop() -> Value {
    let mut desired = budget(&json!({"maxUnavailable": "10%"}));
    desired["metadata"]["labels"] = json!({"scalableapp.dev/app": "shop"});
    desired
}

#[tokio::test]
async fn an_owner_that_somebody_removed_is_put_back() {
    let api = changed(|budget| budget["metadata"]["ownerReferences"] = json!([]));
    let ensured = api.ensure(&of_shop()).await;
    assert!(matches!(ensured, Ok(Ensured::Reverted(..))), "{ensured:?}");
    assert_eq!(api.budget.lock().unwrap()["metadata"]["ownerReferences"][0]["uid"], "1");
}

#[tokio::test]
async fn what_is_older_than_the_app_or_another_ones_is_not_taken() {
    let older = changed(|budget| {
        budget["metadata"]["ownerReferences"] = json!([]);
        budget["metadata"]["creationTimestamp"] = json!("1969-01-01T00:00:00Z");
    });
    let error = older.ensure(&of_shop()).await.unwrap_err().to_string();
    assert!(error.contains("left from an earlier ScalableApp"), "{error}");
    let others = changed(|budget| {
        budget["metadata"]["ownerReferences"][0]["uid"] = json!("2");
        budget["metadata"]["ownerReferences"][0]["name"] = json!("store");
    });
    let error = others.ensure(&of_shop()).await.unwrap_err().to_string();
    assert!(error.contains("belongs to ScalableApp store; rename the app or the component"), "{error}");
}
