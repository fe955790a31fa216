//! The status of overrides and other objects, against an API server that stores objects and status writes.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use http::{Method, StatusCode};
use jiff::Timestamp;
use kube::Client;
use kube::runtime::reflector::Store;
use scalableapp_crds::{ConditionStatus, ScalableApp, ScalableAppStatus, set_condition};
use scalableapp_operator::apply::status::report;
use scalableapp_operator::apply::writer::Writer;
use scalableapp_operator::controller::overrides::OverrideReports;
use scalableapp_operator::observe::cluster::caches::{GuardedApp, GuardedOverride, Scope, reflect_written};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::fake::{Answer, LIMIT, client, failure, lead, not_found};

const GROUP: &str = "/apis/scalableapp.dev/v1alpha1";

/// Objects by their path.
#[derive(Default)]
struct Server {
    objects: BTreeMap<String, Value>,
    /// Path and body of each write of a status.
    written: Vec<(String, Value)>,
    /// Whether writes of a status are refused.
    refuses: bool,
    /// Part of the paths whose status writes are unanswered.
    silent: Option<&'static str>,
}

#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<Server>>);

impl ApiServer {
    fn client(&self) -> Client {
        let server = self.clone();
        client(move |head, body| {
            let server = server.clone();
            async move {
                if server.is_silent(head.uri.path()) {
                    pending::<()>().await;
                }
                server.0.lock().unwrap().answer(&head.method, head.uri.path(), body)
            }
        })
    }

    fn is_silent(&self, path: &str) -> bool {
        let silent = self.0.lock().unwrap().silent;
        silent.is_some_and(|part| path.contains(part) && path.ends_with("/status"))
    }

    fn put(&self, path: &str, object: Value) {
        self.0.lock().unwrap().objects.insert(format!("{GROUP}{path}"), object);
    }

    fn refuse(&self, refuses: bool) {
        self.0.lock().unwrap().refuses = refuses;
    }

    /// The new statuses: the reason of `InForce` by the path of the override.
    fn said(&self) -> Vec<(String, String)> {
        let written = std::mem::take(&mut self.0.lock().unwrap().written);
        let reason = |body: &Value| body["status"]["conditions"][0]["reason"].as_str().unwrap().to_owned();
        written.iter().map(|(path, body)| (path.clone(), reason(body))).collect()
    }
}

impl Server {
    fn answer(&mut self, method: &Method, path: &str, mut body: Value) -> Answer {
        match method.as_str() {
            "GET" if path.ends_with("/scalableapps") || path.ends_with("/scalingoverrides") => {
                let kind = format!("/{}/", path.rsplit('/').next().unwrap());
                let items: Vec<_> = self
                    .objects
                    .iter()
                    .filter(|(path, _)| path.contains(&kind))
                    .map(|(_, one)| one)
                    .collect();
                (StatusCode::OK, json!({"metadata": {"resourceVersion": "1"}, "items": items}))
            }
            "GET" => match self.objects.get(path) {
                Some(object) => (StatusCode::OK, object.clone()),
                None => not_found(),
            },
            "PATCH" if self.refuses => {
                failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "etcdserver: no leader")
            }
            "PATCH" => {
                let path = path.strip_suffix("/status").unwrap();
                self.written.push((path.strip_prefix(GROUP).unwrap().to_owned(), body.clone()));
                let mut object = self.objects[path].clone();
                object["status"] = body["status"].clone();
                (StatusCode::OK, object)
            }
            // The Lease, without another candidate.
            _ => {
                body["metadata"]["resourceVersion"] = json!("1");
                let name = body["metadata"]["name"].as_str().unwrap();
                let path = if method == Method::POST { format!("{path}/{name}") } else { path.to_owned() };
                self.objects.insert(path, body.clone());
                (StatusCode::OK, body)
            }
        }
    }
}

/// A process that leads, with the server's initial objects in its caches.
struct Process {
    writer: Writer,
    apps: Store<GuardedApp>,
    overrides: Store<GuardedOverride>,
    said: OverrideReports,
}

impl Process {
    async fn start(api: &ApiServer) -> Self {
        let client = api.client();
        let leadership = lead(client.clone()).await;
        let (apps, touched_apps) = reflect_written(&Scope::new(client.clone(), &[]));
        let (overrides, touched) = reflect_written(&Scope::new(client.clone(), &[]));
        tokio::spawn(touched_apps.for_each(|_| async {}));
        tokio::spawn(touched.for_each(|_| async {}));
        timeout(LIMIT, apps.wait_until_ready()).await.unwrap().unwrap();
        timeout(LIMIT, overrides.wait_until_ready()).await.unwrap().unwrap();
        Self { writer: Writer::new(client, leadership), apps, overrides, said: OverrideReports::default() }
    }

    async fn tell(&mut self, at: &str) {
        let at: Timestamp = format!("2026-01-01T{at}Z").parse().unwrap();
        self.said.tell(&self.writer, &self.apps, &self.overrides, at).await;
    }
}

fn app(name: &str) -> Value {
    json!({
        "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
        "metadata": {"name": name, "namespace": "store", "uid": name, "generation": 1},
        "spec": {"image": "shop:1", "services": [
            {"name": "web", "port": 80, "scaling": {"minReplicas": 1, "maxReplicas": 2}},
        ]},
    })
}

fn hold(name: &str, app: &str, component: &Value) -> Value {
    json!({
        "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalingOverride",
        "metadata": {"name": name, "namespace": "store", "uid": name, "generation": 1},
        "spec": {"app": app, "component": component, "hold": {}, "by": "jane", "reason": "a test",
            "expiresAt": "2026-01-01T01:00:00Z"},
        "status": {"observedGeneration": -1},
    })
}

fn at(name: &str, reason: &str) -> (String, String) {
    (format!("/namespaces/store/scalingoverrides/{name}"), reason.to_owned())
}

#[tokio::test]
async fn an_override_says_once_whether_it_acts_and_once_that_it_has_ended() {
    let api = ApiServer::default();
    api.put("/namespaces/store/scalableapps/shop", app("shop"));
    api.put("/namespaces/store/scalingoverrides/good", hold("good", "shop", &json!("web")));
    api.put("/namespaces/store/scalingoverrides/lost", hold("lost", "shopp", &json!(null)));
    api.put("/namespaces/store/scalingoverrides/part", hold("part", "shop", &json!("wbe")));
    let mut process = Process::start(&api).await;
    process.tell("00:00:00").await;
    let all = [at("good", "InForce"), at("lost", "AppNotFound"), at("part", "ComponentNotFound")];
    let mut said = api.said();
    said.sort();
    assert_eq!(said, all);
    for later in ["00:00:05", "00:59:59"] {
        process.tell(later).await;
        assert_eq!(api.said(), [], "at rest nothing is written, whatever the cache still shows");
    }
    process.tell("01:00:00").await;
    let ended = api.said();
    assert!(ended.len() == 3 && ended.iter().all(|(_, reason)| reason == "Expired"), "{ended:?}");
    process.tell("09:00:00").await;
    assert_eq!(api.said(), []);
}

#[tokio::test]
async fn an_override_that_cannot_be_read_says_once_that_it_does_nothing() {
    let api = ApiServer::default();
    let mut endless = hold("endless", "shop", &json!(null));
    endless["spec"]["expiresAt"] = json!("9999-12-31T23:59:59Z");
    endless["metadata"]["managedFields"] = json!([{"manager": "m", "time": "9999-12-31T23:59:59Z"}]);
    api.put("/namespaces/store/scalingoverrides/endless", endless);
    let mut process = Process::start(&api).await;
    process.tell("00:00:00").await;
    assert_eq!(api.said(), [at("endless", "Unreadable")]);
    process.tell("00:30:00").await;
    assert_eq!(api.said(), []);
}

#[tokio::test]
async fn what_could_not_be_said_is_said_at_the_next_turn() {
    let api = ApiServer::default();
    api.put("/namespaces/store/scalingoverrides/lost", hold("lost", "shop", &json!(null)));
    let mut process = Process::start(&api).await;
    api.refuse(true);
    process.tell("00:00:00").await;
    assert_eq!(api.said(), []);
    api.refuse(false);
    process.tell("00:00:05").await;
    assert_eq!(api.said(), [at("lost", "AppNotFound")]);
}

#[tokio::test(start_paused = true)]
async fn overrides_whose_status_gets_no_answer_keep_no_other_waiting() {
    let api = ApiServer::default();
    api.0.lock().unwrap().silent = Some("huge");
    let names: Vec<String> = (0..10).map(|index| format!("huge-{index}")).collect();
    for name in &names {
        api.put(&format!("/namespaces/store/scalingoverrides/{name}"), hold(name, "shop", &json!(null)));
    }
    api.put("/namespaces/store/scalingoverrides/lost", hold("lost", "shop", &json!(null)));
    let mut process = Process::start(&api).await;
    process.tell("00:00:00").await;
    assert_eq!(api.said(), [at("lost", "AppNotFound")]);
    for minute in 1..60 {
        let before = tokio::time::Instant::now();
        process.tell(&format!("00:{minute:02}:00")).await;
        assert!(before.elapsed() < Duration::from_secs(5), "one of them may be waited for");
    }
    process.tell("01:00:00").await;
    assert_eq!(api.said(), [at("lost", "Expired")]);
}

#[tokio::test]
async fn what_an_earlier_process_said_is_not_said_again() {
    let api = ApiServer::default();
    api.put("/namespaces/store/scalableapps/shop", app("shop"));
    let path = "/namespaces/store/scalingoverrides/good";
    api.put(path, hold("good", "shop", &json!(null)));
    let mut first = Process::start(&api).await;
    first.tell("00:00:00").await;
    let status = std::mem::take(&mut api.0.lock().unwrap().written).remove(0).1["status"].clone();
    let mut said = hold("good", "shop", &json!(null));
    said["status"] = status;
    let later = ApiServer::default();
    later.put("/namespaces/store/scalableapps/shop", app("shop"));
    later.put(path, said);
    Process::start(&later).await.tell("00:30:00").await;
    assert_eq!(later.said(), []);
}

#[tokio::test]
async fn what_was_written_is_known_as_the_api_server_has_it() {
    let api = ApiServer::default();
    api.put("/namespaces/store/scalableapps/shop", app("shop"));
    let process = Process::start(&api).await;
    let mut status = ScalableAppStatus::default();
    let at = "2026-01-01T00:00:00.123456789Z".parse().unwrap();
    set_condition(&mut status.conditions, "Ready", ConditionStatus::True, "UpAsDeclared", "All up.", 1, at);
    let write = async |known: Option<&ScalableAppStatus>, status: &ScalableAppStatus| {
        report::<ScalableApp>(&process.writer, "ScalableApp", ("store", "shop"), known, status).await.unwrap()
    };
    let written = write(None, &status).await.unwrap();
    let read: ScalableAppStatus = serde_json::from_value(json!(status)).unwrap();
    assert_eq!((written == read, written == status), (true, false), "the API server keeps whole seconds");
    assert_eq!(write(Some(&written), &read).await, None);
}
