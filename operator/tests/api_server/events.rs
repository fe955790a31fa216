//! Publishing events, against an API server that stores them.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex};

use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use scalableapp_operator::apply::events::Events;
use scalableapp_operator::apply::writer::Writer;
use scalableapp_operator::event::Event;
use serde_json::Value;

use crate::fake::{Answer, client, lead, not_found};

/// The events by their names.
#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<BTreeMap<String, Value>>>);

impl ApiServer {
    fn client(&self) -> Client {
        let server = self.clone();
        client(move |head, body| ready(server.answer(&head.method, head.uri.path(), body)))
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> Answer {
        let mut events = self.0.lock().unwrap();
        match (method.as_str(), path.rsplit_once("/events")) {
            ("GET", _) => not_found(),
            ("PATCH", Some((_, name))) => match events.get_mut(name.trim_start_matches('/')) {
                Some(event) => {
                    event["series"] = body["series"].clone();
                    (StatusCode::OK, event.clone())
                }
                None => not_found(),
            },
            ("POST", Some(_)) => {
                events.insert(body["metadata"]["name"].as_str().unwrap().to_owned(), body.clone());
                (StatusCode::OK, body)
            }
            // The Lease, without another candidate.
            _ => (StatusCode::OK, body),
        }
    }

    /// App, note and count of each event, in the order of their names, which is that of their creation.
    fn events(&self) -> Vec<(String, String, i64)> {
        let events = self.0.lock().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let said = |event: &Value| {
            let count = event["series"]["count"].as_i64().unwrap_or(1);
            (text(&event["regarding"]["name"]), text(&event["note"]), count)
        };
        events.values().map(said).collect()
    }
}

async fn leading(api: &ApiServer) -> Events {
    Events::new(Writer::new(api.client(), lead(api.client()).await), "one")
}

async fn publish(events: &Events, app: &str, note: &str) {
    let about = ObjectReference {
        namespace: Some("shop".to_owned()),
        name: Some(app.to_owned()),
        ..ObjectReference::default()
    };
    let event = Event { warning: false, reason: "Scaled", action: "Scale", note: note.to_owned() };
    events.publish(&about, event).await;
}

fn event(note: &str, count: i64) -> (String, String, i64) {
    ("web".to_owned(), note.to_owned(), count)
}

#[tokio::test]
async fn the_same_note_again_is_counted_and_another_is_an_event_of_its_own() {
    let api = ApiServer::default();
    let events = leading(&api).await;
    for note in ["1 -> 2", "2 -> 3", "1 -> 2", "1 -> 2"] {
        publish(&events, "web", note).await;
    }
    assert_eq!(api.events(), [event("1 -> 2", 3), event("2 -> 3", 1)]);
}

#[tokio::test]
async fn an_event_that_somebody_deleted_is_written_anew() {
    let api = ApiServer::default();
    let events = leading(&api).await;
    publish(&events, "web", "1 -> 2").await;
    api.0.lock().unwrap().clear();
    publish(&events, "web", "1 -> 2").await;
    assert_eq!(api.events(), [event("1 -> 2", 1)]);
    publish(&events, "web", "1 -> 2").await;
    assert_eq!(api.events(), [event("1 -> 2", 2)]);
}

#[tokio::test]
async fn a_fleet_is_not_remembered() {
    let api = ApiServer::default();
    let events = leading(&api).await;
    publish(&events, "web", "1 -> 2").await;
    for other in 0..100 {
        publish(&events, &format!("web-{other}"), "1 -> 2").await;
    }
    publish(&events, "web", "1 -> 2").await;
    let of_web: Vec<_> = api.events().into_iter().filter(|(app, _, _)| app == "web").collect();
    assert_eq!(of_web, [event("1 -> 2", 1), event("1 -> 2", 1)]);
}

#[tokio::test]
async fn a_note_is_cut_to_the_bytes_that_the_api_server_allows() {
    let api = ApiServer::default();
    let events = leading(&api).await;
    publish(&events, "web", &"→".repeat(1000)).await;
    assert_eq!(api.events(), [event(&"→".repeat(341), 1)]);
}
