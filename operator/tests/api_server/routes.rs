//! The HTTPRoute of a service, against an API server that stores what it is sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use http::{Method, StatusCode};
use kube::Client;
use rstest::rstest;
use scalableapp_crds::Guarded;
use scalableapp_operator::controller::{Context, Watches, reconcile::reconcile};
use scalableapp_operator::kinds::Kind;
use scalableapp_operator::observe::cluster::access::Access;
use scalableapp_operator::observe::cluster::caches::{Cluster, GuardedApp, Scope, reflect_children};
use scalableapp_operator::observe::cluster::routes::reflect_routes;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::fake::{self, Answer, KEPT, LIMIT, context, failure, lead, not_found};

const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/store/httproutes/shop-web";
const KINDS: [(Kind, &str); 2] = [(Kind::Deployment, "deployments"), (Kind::Service, "services")];

/// Objects by path; it knows HTTPRoutes unless `refusal` is its answer to their lists.
#[derive(Clone, Default)]
struct ApiServer {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    refusal: Option<Answer>,
    /// Writes that concern no status, Lease or event, as method and path.
    writes: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    fn client(&self) -> Client {
        let server = self.clone();
        fake::client(move |head, body| {
            let server = server.clone();
            async move { server.answer(&head.method, head.uri.path(), body) }
        })
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> Answer {
        let mut objects = self.objects.lock().unwrap();
        if *method != Method::GET && (path.contains("/leases") || path.contains("/events")) {
            return (StatusCode::OK, body);
        }
        if *method != Method::GET && !path.ends_with("/status") {
            self.writes.lock().unwrap().push(format!("{method} {path}"));
        }
        let plural = path.rsplit('/').next().unwrap();
        match method.as_str() {
            "GET" if plural == "httproutes" && self.refusal.is_some() => self.refusal.clone().unwrap(),
            "GET" if KINDS.iter().any(|(_, one)| *one == plural) || plural == "httproutes" => {
                fake::list(&objects, plural)
            }
            "GET" => objects.get(path).map_or_else(not_found, |object| (StatusCode::OK, object.clone())),
            "DELETE" => objects.remove(path).map_or_else(not_found, |object| (StatusCode::OK, object)),
            _ => fake::store(&mut objects, path, body, &KEPT),
        }
    }

    /// The leader, which has listed Deployments, Services and HTTPRoutes.
    async fn operator(&self) -> Arc<Context> {
        let client = self.client();
        let leadership = lead(client.clone()).await;
        let scope = Scope::new(client.clone(), &[]);
        let mut cluster = Watches::new(&scope).cluster;
        let (deployments, touched) = reflect_children(&scope, Kind::Deployment);
        tokio::spawn(touched.for_each(|_| async {}));
        let (services, touched) = reflect_children(&scope, Kind::Service);
        tokio::spawn(touched.for_each(|_| async {}));
        let (routes, touched) = reflect_routes(&scope);
        tokio::spawn(touched.for_each(|_| async {}));
        let listed = async {
            deployments.synced().await.unwrap();
            services.synced().await.unwrap();
            while routes.access() == Access::Unlisted {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, listed).await.unwrap();
        cluster.workloads.insert(Kind::Deployment, deployments);
        cluster.others.insert(Kind::Service, services);
        context(&client, leadership, Cluster { routes, ..cluster })
    }

    async fn reconcile(&self, route: &Value) {
        reconcile(app(route), self.operator().await).await.unwrap();
    }

    fn route(&self) -> Option<Value> {
        self.objects.lock().unwrap().get(ROUTE).cloned()
    }

    /// Writes of HTTPRoutes, and of the Services of revisions.
    fn writes_of_route(&self) -> Vec<String> {
        let writes = self.writes.lock().unwrap();
        let is_of_route = |one: &&String| one.contains("/httproutes/") || one.contains("/services/shop-web-");
        writes.iter().filter(is_of_route).cloned().collect()
    }

    /// Reason and message of `Ready`.
    fn ready(&self) -> (String, String) {
        let objects = self.objects.lock().unwrap();
        let status = objects.iter().find(|(path, _)| path.ends_with("/status")).unwrap().1;
        let conditions = status["status"]["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|one| one["type"] == "Ready").unwrap();
        let text = |field: &str| ready[field].as_str().unwrap().to_owned();
        (text("reason"), text("message"))
    }

    /// Makes the pods of the Deployments ready.
    fn run(&self) {
        for (path, object) in self.objects.lock().unwrap().iter_mut() {
            if path.contains("/deployments/") {
                object["status"] = json!({"replicas": 1, "readyReplicas": 1});
            }
        }
    }
}

fn app(route: &Value) -> Arc<GuardedApp> {
    let app = serde_json::from_value(json!({
        "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
        "metadata": {"name": "shop", "namespace": "store", "uid": "shop", "generation": 1},
        "spec": {"services": [{"name": "web", "image": "shop:1", "port": 8080, "route": route}]},
    }));
    Arc::new(Guarded(Ok(app.unwrap())))
}

fn public() -> Value {
    json!({"parentRefs": [{"name": "public", "namespace": "edge"}], "hostnames": ["shop.example.com"]})
}

#[tokio::test]
async fn a_route_sends_everything_to_the_service_of_the_only_revision_and_rests_then() {
    let api = ApiServer::default();
    api.reconcile(&public()).await;
    let route = api.route().unwrap();
    let service = route["spec"]["rules"][0]["backendRefs"][0].clone();
    let name = service["name"].as_str().unwrap();
    assert!(name.starts_with("shop-web-") && service["weight"] == 100, "{service}");
    let gateway = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "edge"});
    assert_eq!(route["spec"]["parentRefs"], json!([gateway]));
    assert_eq!(route["spec"]["hostnames"], json!(["shop.example.com"]));
    let path = format!("/api/v1/namespaces/store/services/{name}");
    let service = api.objects.lock().unwrap()[&path].clone();
    let revision = name.strip_prefix("shop-web-").unwrap();
    assert_eq!(service["spec"]["selector"]["scalableapp.dev/revision"], revision);
    assert_eq!(service["metadata"]["labels"]["scalableapp.dev/revision"], revision);
    assert_eq!(api.writes_of_route(), [format!("PATCH {path}"), format!("PATCH {ROUTE}")]);

    api.run();
    let operator = api.operator().await;
    reconcile(app(&public()), Arc::clone(&operator)).await.unwrap();
    let written = api.writes.lock().unwrap().len();
    reconcile(app(&public()), operator).await.unwrap();
    assert_eq!(api.writes.lock().unwrap().len(), written, "at rest nothing is written");
    assert_eq!(api.ready().0, "RoutePending");
}

#[rstest]
#[case::no_definition(failure(StatusCode::NOT_FOUND, "NotFound", "page not found"), "is not installed")]
#[case::no_right(
    failure(StatusCode::FORBIDDEN, "Forbidden", "no"),
    "the operator may not read the HTTPRoutes"
)]
#[tokio::test]
async fn without_gateway_api_the_app_says_so_and_its_service_runs(
    #[case] refusal: Answer,
    #[case] words: &str,
) {
    let api = ApiServer { refusal: Some(refusal), ..ApiServer::default() };
    api.reconcile(&public()).await;
    let (reason, message) = api.ready();
    assert_eq!(reason, "GatewayAPIMissing");
    assert!(message.contains(words), "{message}");
    assert_eq!(api.writes_of_route(), [""; 0]);
    let writes = api.writes.lock().unwrap();
    for child in ["/deployments/shop-web-", "/services/shop-web"] {
        assert!(writes.iter().any(|one| one.contains(child)), "{writes:?}");
    }
}

#[tokio::test]
async fn without_gateway_api_an_app_without_a_route_is_what_it_was() {
    let refusal = failure(StatusCode::NOT_FOUND, "NotFound", "page not found");
    let api = ApiServer { refusal: Some(refusal), ..ApiServer::default() };
    api.reconcile(&Value::Null).await;
    api.run();
    api.reconcile(&Value::Null).await;
    assert_eq!(api.ready().0, "UpAsDeclared");
    assert_eq!(api.writes_of_route(), [""; 0]);
}

#[tokio::test]
async fn a_route_that_is_removed_goes_before_the_services_of_its_revisions() {
    let api = ApiServer::default();
    api.reconcile(&public()).await;
    api.writes.lock().unwrap().clear();
    api.reconcile(&Value::Null).await;
    let writes = api.writes_of_route();
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert_eq!(writes[0], format!("DELETE {ROUTE}"));
    assert!(writes[1].starts_with("DELETE /api/v1/namespaces/store/services/shop-web-"), "{writes:?}");
}

#[tokio::test]
async fn an_edit_of_a_route_is_reverted() {
    let api = ApiServer::default();
    let operator = api.operator().await;
    reconcile(app(&public()), operator).await.unwrap();
    let written = api.route().unwrap();
    api.objects.lock().unwrap().get_mut(ROUTE).unwrap()["spec"]["rules"][0]["backendRefs"][0]["weight"] =
        json!(0);
    // A new process has not applied it, and does not know of the edit.
    api.reconcile(&public()).await;
    assert_eq!(api.route().unwrap()["spec"], written["spec"]);
}
