//! What publishing events promises, against an API server that answers each write with what was sent.

#![allow(clippy::unwrap_used, reason = "clippy sees tests only in functions marked as such")]

use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::client::Body;
use scalableapp_operator::apply::events::{Events, Happening};
use scalableapp_operator::apply::writer::Writer;
use scalableapp_operator::runtime::lease::Candidate;
use serde_json::json;

/// The methods by which events were written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<Method>>>);

impl Written {
    fn client(&self) -> Client {
        let written = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let written = written.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                if head.uri.path().contains("/events") {
                    written.0.lock().unwrap().push(head.method.clone());
                }
                let (status, answer) = match head.method {
                    Method::GET => (
                        StatusCode::NOT_FOUND,
                        json!({"status": "Failure", "reason": "NotFound", "code": 404}),
                    ),
                    _ => (StatusCode::OK, serde_json::from_slice(&body)?),
                };
                let answer = Body::from(serde_json::to_vec(&answer)?);
                Ok::<_, tower::BoxError>(Response::builder().status(status).body(answer)?)
            }
        });
        Client::new(service, "operator")
    }

    /// What was written since the last look.
    fn take(&self) -> Vec<Method> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

async fn publish(events: &Events, app: &str) {
    let about = ObjectReference {
        namespace: Some("shop".to_owned()),
        name: Some(app.to_owned()),
        ..ObjectReference::default()
    };
    let happening =
        Happening { warning: false, reason: "Scaled", action: "Scale", note: "From 1 to 2.".to_owned() };
    events.publish(&about, happening).await;
}

#[tokio::test]
async fn repeats_become_a_series_and_a_fleet_is_not_remembered() {
    let written = Written::default();
    let client = written.client();
    let (candidate, leadership) = Candidate::new(client.clone(), "operator", "election", "one");
    let election = tokio::spawn(candidate.run(std::future::pending()));
    leadership.gained().await;
    let events = Events::new(Writer::new(client, leadership), "one");

    publish(&events, "web").await;
    publish(&events, "web").await;
    assert_eq!(written.take(), [Method::POST, Method::PATCH]);

    for other in 0..100 {
        publish(&events, &format!("web-{other}")).await;
    }
    written.take();
    publish(&events, "web").await;
    assert_eq!(written.take(), [Method::POST], "an event of its own, as the recorder was replaced");
    election.abort();
}
