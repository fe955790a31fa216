//! A failed write blocks no other write of its app. Against an API server that stores accepted objects.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use http::{Method, StatusCode};
use kube::Client;
use kube::runtime::controller::Action;
use rstest::rstest;
use scalableapp_crds::Guarded;
use scalableapp_operator::controller::{Context, Watches, reconcile::reconcile};
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::caches::{Cluster, GuardedApp, Scope, reflect_children};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::fake::{self, Answer, LIMIT, context, failure, lead, not_found};

/// The result of a write, by its path and query.
type Fate = Arc<dyn Fn(&str) -> Outcome + Send + Sync>;

/// The result of a write.
enum Outcome {
    Taken,
    Answered(Answer),
    Unanswered,
}

/// Objects by path; a status has a path of its own.
#[derive(Clone)]
struct ApiServer {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    fate: Fate,
}

impl ApiServer {
    fn new(fate: impl Fn(&str) -> Outcome + Send + Sync + 'static) -> Self {
        Self { objects: Arc::default(), fate: Arc::new(fate) }
    }

    /// A server with this answer to applies of the Deployment of `web`.
    fn refusing(answer: Answer) -> Self {
        Self::new(move |write| match write.contains("/deployments/shop-web") {
            true => Outcome::Answered(answer.clone()),
            false => Outcome::Taken,
        })
    }

    fn client(&self) -> Client {
        let server = self.clone();
        fake::client(move |head, body| {
            let server = server.clone();
            async move {
                let fate = match head.method {
                    Method::GET => Outcome::Taken,
                    _ => (server.fate)(&head.uri.to_string()),
                };
                match fate {
                    Outcome::Taken => server.answer(&head.method, head.uri.path(), body),
                    Outcome::Answered(answer) => answer,
                    Outcome::Unanswered => pending().await,
                }
            }
        })
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> Answer {
        let mut objects = self.objects.lock().unwrap();
        match method.as_str() {
            "GET" if path.ends_with("/deployments") => fake::list(&objects, "deployments"),
            "GET" => objects.get(path).map_or_else(not_found, |object| (StatusCode::OK, object.clone())),
            "PATCH" => {
                fake::store(&mut objects, path, body, &["metadata.labels", "metadata.ownerReferences"])
            }
            "POST" if path.ends_with("/events") => {
                let name = body["metadata"]["name"].as_str().unwrap();
                objects.insert(format!("{path}/{name}"), body.clone());
                (StatusCode::CREATED, body)
            }
            // The Lease, without another candidate.
            _ => (StatusCode::OK, body),
        }
    }

    /// Kinds of the existing objects of a component.
    fn children(&self, component: &str) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        let label = |object: &Value| object["metadata"]["labels"]["scalableapp.dev/component"] == component;
        objects
            .values()
            .filter(|one| label(one))
            .map(|one| one["kind"].as_str().unwrap().to_owned())
            .collect()
    }

    /// `spec.replicas` of the Deployment of a component.
    fn replicas(&self, component: &str) -> Value {
        let objects = self.objects.lock().unwrap();
        let label = |one: &Value| one["metadata"]["labels"]["scalableapp.dev/component"] == component;
        let deployment = objects.values().find(|one| one["kind"] == "Deployment" && label(one));
        deployment.unwrap()["spec"]["replicas"].clone()
    }

    fn status(&self) -> Value {
        let objects = self.objects.lock().unwrap();
        objects
            .iter()
            .find(|(path, _)| path.ends_with("/status"))
            .map(|(_, one)| one["status"].clone())
            .unwrap()
    }

    /// Status, reason, message and generation of `Ready`.
    fn ready(&self) -> (String, String, String, i64) {
        let status = self.status();
        let ready =
            status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Ready").unwrap();
        let text = |field: &str| ready[field].as_str().unwrap().to_owned();
        let generation = ready["observedGeneration"].as_i64().unwrap();
        assert_eq!(status["observedGeneration"], json!(generation));
        (text("status"), text("reason"), text("message"), generation)
    }

    /// Reasons of the events, in order.
    fn events(&self) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        let events = objects.values().filter(|one| one["regarding"].is_object());
        events.map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
    }

    /// An operator whose caches are empty.
    async fn operator(&self) -> Arc<Context> {
        let client = self.client();
        let leadership = lead(client.clone()).await;
        context(&client, leadership, Watches::new(&Scope::new(client.clone(), &[])).cluster)
    }

    /// An operator with the Deployments in its cache.
    async fn seeing_operator(&self) -> Arc<Context> {
        let client = self.client();
        let leadership = lead(client.clone()).await;
        let (deployments, touched) = reflect_children(&Scope::new(client.clone(), &[]), Kind::Deployment);
        tokio::spawn(touched.for_each(|_| async {}));
        timeout(LIMIT, deployments.synced()).await.unwrap().unwrap();
        let workloads = BTreeMap::from([(Kind::Deployment, deployments)]);
        context(
            &client,
            leadership,
            Cluster { workloads, ..Watches::new(&Scope::new(client.clone(), &[])).cluster },
        )
    }

    /// The app of this generation with the last written status.
    fn app(&self, generation: i64, replicas: i32) -> Arc<GuardedApp> {
        let scaling = json!({"minReplicas": replicas, "maxReplicas": replicas});
        let status = self
            .objects
            .lock()
            .unwrap()
            .iter()
            .find(|(path, _)| path.ends_with("/status"))
            .map(|(_, object)| object["status"].clone());
        let app = serde_json::from_value(json!({
            "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
            "metadata": {"name": "shop", "namespace": "store", "uid": "shop", "generation": generation},
            "spec": {"image": "shop:1", "services": [
                {"name": "web", "port": 80, "scaling": scaling}, {"name": "api", "port": 80, "scaling": scaling},
            ]},
            "status": status,
        }));
        Arc::new(Guarded(Ok(app.unwrap())))
    }
}

const ALL: [&str; 5] = ["Deployment", "Service", "ServiceAccount", "NetworkPolicy", "PodDisruptionBudget"];

fn has_all(api: &ApiServer, component: &str, but: &str) -> bool {
    let children = api.children(component);
    ALL.iter().all(|kind| children.iter().any(|one| one == kind) == (*kind != but))
}

#[rstest]
#[case::unknown_field(
    500,
    "",
    "failed to create typed patch object (store/shop-web; apps/v1, Kind=Deployment): .spec.template.spec.tolerationz: field not declared in schema"
)]
#[case::given_twice(
    500,
    "",
    "failed to create typed patch object (store/shop-web; apps/v1, Kind=Deployment): errors: .spec.template.spec.containers[name=\"proxy\"].env: duplicate entries for key [name=\"A\"]"
)]
#[case::webhook_fails(
    500,
    "InternalError",
    "Internal error occurred: failed calling webhook \"v.example.com\": connect: connection refused"
)]
#[case::webhook_denies(403, "Forbidden", "admission webhook \"v.example.com\" denied the request: no")]
#[case::webhook_denies_in_its_own_way(
    418,
    "",
    "admission webhook \"v.example.com\" denied the request: teapot"
)]
#[case::policy(
    422,
    "Invalid",
    "deployments.apps \"shop-web\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: no"
)]
#[case::quota(403, "Forbidden", "deployments.apps \"shop-web\" is forbidden: exceeded quota: few")]
#[case::too_large(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")]
#[case::too_large_for_etcd(500, "", "etcdserver: request is too large")]
#[case::conversion(500, "InternalError", "conversion webhook for apps/v1, Kind=Deployment failed: no")]
#[case::bad_request(400, "BadRequest", "Deployment in version \"v1\" cannot be handled as a Deployment")]
#[case::media_type(415, "UnsupportedMediaType", "the body of the request was in an unknown format")]
#[tokio::test]
async fn a_refused_child_is_named_in_the_api_servers_words_and_stops_no_other(
    #[case] code: u16,
    #[case] reason: &str,
    #[case] sentence: &str,
) {
    let api = ApiServer::refusing(failure(StatusCode::from_u16(code).unwrap(), reason, sentence));
    let operator = api.operator().await;
    let refused = async {
        loop {
            reconcile(api.app(1, 1), Arc::clone(&operator)).await.unwrap();
            let (ready, reason, message, _) = api.ready();
            assert_eq!(ready, "False");
            assert!(message.starts_with("web: ") && message.contains(sentence), "{message}");
            if reason == "ChildRefused" {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, refused).await.unwrap();
    assert!(has_all(&api, "web", "Deployment") && has_all(&api, "api", ""));
    assert!(api.events().contains(&"ChildRefused".to_owned()));
}

#[rstest]
#[case::unavailable(503, "ServiceUnavailable")]
#[case::too_many(429, "TooManyRequests")]
#[case::server_timeout(500, "ServerTimeout")]
#[case::conflict(409, "Conflict")]
#[tokio::test]
async fn a_generation_that_is_not_applied_is_never_ready(#[case] code: u16, #[case] reason: &str) {
    let code = StatusCode::from_u16(code).unwrap();
    let api = ApiServer::refusing(failure(code, reason, "come again"));
    let status = json!({"status": {"observedGeneration": 1, "conditions": [{
        "type": "Ready", "status": "True", "observedGeneration": 1, "reason": "UpAsDeclared", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}});
    api.objects.lock().unwrap().insert("/status".to_owned(), status);
    reconcile(api.app(2, 1), api.operator().await).await.unwrap();
    let (ready, reason, message, generation) = api.ready();
    assert_eq!((ready.as_str(), reason.as_str(), generation), ("False", "ChildNotWritten", 2), "{message}");
    assert!(has_all(&api, "web", "Deployment") && has_all(&api, "api", ""));
}

#[tokio::test(start_paused = true)]
async fn a_child_that_gets_no_answer_keeps_no_other_waiting_for_long() {
    let silent = ["/deployments/shop-web", "/services/shop-web", "/serviceaccounts/shop-web"];
    let api = ApiServer::new(move |write| match silent.iter().any(|path| write.contains(path)) {
        true => Outcome::Unanswered,
        false => Outcome::Taken,
    });
    let operator = api.operator().await;
    let applied = async {
        loop {
            let before = tokio::time::Instant::now();
            reconcile(api.app(1, 1), Arc::clone(&operator)).await.unwrap();
            assert!(before.elapsed() < LIMIT / 3, "two writes may be waited for");
            let (ready, reason, ..) = api.ready();
            assert_eq!((ready.as_str(), reason.as_str()), ("False", "ChildNotWritten"));
            if has_all(&api, "api", "") && api.children("web").len() == 2 {
                return;
            }
        }
    };
    timeout(LIMIT, applied).await.unwrap();
}

/// Both components exist, and both have three desired replicas.
async fn scaled(answer: Option<Answer>) -> ApiServer {
    let api = ApiServer::new(move |write| {
        let is_of_web =
            write.contains("/deployments/shop-web") && write.contains("fieldManager=scalableapp-scaler");
        match &answer {
            _ if !is_of_web => Outcome::Taken,
            Some(answer) => Outcome::Answered(answer.clone()),
            None => Outcome::Unanswered,
        }
    });
    reconcile(api.app(1, 1), api.operator().await).await.unwrap();
    let operator = api.seeing_operator().await;
    let said = async {
        while !matches!(api.ready().1.as_str(), "ChildRefused" | "ChildNotWritten") {
            reconcile(api.app(2, 3), Arc::clone(&operator)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, said).await.unwrap();
    api
}

#[rstest]
#[case::webhook_fails(500, "InternalError", "ChildRefused")]
#[case::policy(422, "Invalid", "ChildRefused")]
#[case::unavailable(503, "ServiceUnavailable", "ChildNotWritten")]
#[tokio::test]
async fn replicas_that_are_not_taken_are_named_and_stop_no_other(
    #[case] code: u16,
    #[case] reason: &str,
    #[case] said: &str,
) {
    let api = scaled(Some(failure(StatusCode::from_u16(code).unwrap(), reason, "no more"))).await;
    let (_, reason, message, generation) = api.ready();
    assert_eq!((reason.as_str(), message.as_str(), generation), (said, "web: no more", 2));
    assert_eq!((api.replicas("web"), api.replicas("api")), (json!(null), json!(3)));
}

#[tokio::test]
async fn a_status_that_is_refused_stops_no_child_and_is_told_by_an_event() {
    let api = ApiServer::new(|write| match write.contains("/status") {
        true => Outcome::Answered(failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "not this status")),
        false => Outcome::Taken,
    });
    let ended = reconcile(api.app(1, 1), api.operator().await).await;
    assert!(ended.is_err());
    assert!(has_all(&api, "web", "") && has_all(&api, "api", ""));
    assert_eq!(api.events(), ["StatusNotWritten"]);
}

#[tokio::test]
async fn where_the_whole_status_is_refused_a_reduced_one_is_written_and_scaling_goes_on() {
    let statuses = AtomicUsize::new(0);
    // The full status, the reduced one, and both again.
    let api = ApiServer::new(move |write| {
        if write.contains("/status") && statuses.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return Outcome::Answered(failure(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid",
                "not this status",
            ));
        }
        Outcome::Taken
    });
    reconcile(api.app(1, 1), api.operator().await).await.unwrap();
    let status = api.status();
    assert_eq!(status["components"][0]["desired"], json!(1));
    assert!(status["components"][0]["lastDecision"].is_null() && api.ready().1 == "PodsNotReady", "{status}");
    assert_eq!(api.events(), ["StatusReduced", "PodsNotReady"]);
    let operator = api.seeing_operator().await;
    reconcile(api.app(2, 3), operator).await.unwrap();
    assert_eq!((api.replicas("web"), api.replicas("api")), (json!(3), json!(3)));
}

#[tokio::test]
async fn a_component_that_becomes_invalid_after_a_refusal_is_not_looked_at_again_and_again() {
    let refused = failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "no");
    let api = ApiServer::refusing(refused);
    let operator = api.operator().await;
    reconcile(api.app(1, 1), Arc::clone(&operator)).await.unwrap();
    assert_eq!(api.ready().1, "ChildRefused");
    // Until the retry of the refused write is due.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut invalid = serde_json::to_value(api.app(2, 1).0.as_ref().unwrap()).unwrap();
    invalid["spec"]["services"][0]["podTemplate"] = json!({"spec": {"tolerationz": []}});
    let invalid: Arc<GuardedApp> = Arc::new(serde_json::from_value(invalid).unwrap());
    let next = reconcile(invalid, operator).await.unwrap();
    assert_eq!(api.ready().1, "InvalidSpec");
    assert_eq!(next, Action::requeue(Duration::from_secs(600)), "there is nothing to make again");
}

#[tokio::test]
async fn an_unreadable_app_whose_status_is_not_taken_is_told_by_an_event_and_tried_less_and_less() {
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&writes);
    let api = ApiServer::new(move |write| match write.contains("/status") {
        true => {
            counted.fetch_add(1, Ordering::Relaxed);
            Outcome::Answered(failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "not this status"))
        }
        false => Outcome::Taken,
    });
    let huge = json!({"metadata": {"name": "shop", "namespace": "store", "uid": "shop", "generation": 1}, "spec": 1});
    let huge: Arc<GuardedApp> = Arc::new(serde_json::from_value(huge).unwrap());
    let operator = api.operator().await;
    for _ in 0..20 {
        assert!(reconcile(Arc::clone(&huge), Arc::clone(&operator)).await.is_err());
    }
    assert_eq!((writes.load(Ordering::Relaxed), api.events()), (1, vec!["Unreadable".to_owned()]));
}
