//! The scale of a Cluster of CloudNativePG, against an API server with a stand-in for its operator.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use http::{Method, StatusCode};
use kube::Client;
use rstest::rstest;
use scalableapp_operator::controller::{Context, Watches, reconcile::reconcile};
use scalableapp_operator::observe::cluster::access::Access;
use scalableapp_operator::observe::cluster::caches::{Cluster, GuardedApp, Scope, reflect_written};
use scalableapp_operator::observe::cluster::postgres::reflect_clusters;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::fake::{self, Answer, LIMIT, context, failure, lead, not_found};

const CLUSTERS: &str = "/apis/postgresql.cnpg.io/v1/clusters";
const SCALE: &str = "/apis/postgresql.cnpg.io/v1/namespaces/store/clusters/pg/scale";

/// An API server with a Cluster `pg`, which knows the kind unless `refusal` is its answer to lists.
#[derive(Clone)]
struct ApiServer {
    cluster: Arc<Mutex<Option<Value>>>,
    refusal: Option<Answer>,
    apps: Vec<Value>,
    statuses: Arc<Mutex<BTreeMap<String, Value>>>,
    /// Writes that concern no status, Lease or event, as method and path.
    writes: Arc<Mutex<Vec<String>>>,
}

/// A Cluster of this many instances, which are all ready.
fn healthy(instances: i64, spec: &Value) -> Value {
    let mut cluster = json!({
        "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
        "metadata": {"name": "pg", "namespace": "store", "uid": "pg", "resourceVersion": "7", "generation": 1},
        "spec": {"instances": instances},
    });
    cluster["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    cluster["status"] = status_of(instances);
    cluster
}

/// What the operator of CloudNativePG reports of this many ready instances.
fn status_of(instances: i64) -> Value {
    let names: Vec<String> = (1..=instances).map(|number| format!("pg-{number}")).collect();
    json!({
        "instances": instances, "readyInstances": instances, "phase": "Cluster in healthy state",
        "currentPrimary": "pg-1", "targetPrimary": "pg-1", "instancesStatus": {"healthy": names},
    })
}

/// An app with a service, and a database of `pg` with these read replicas.
fn app(name: &str, second: u32, replicas: &Value) -> Value {
    let cnpg = json!({"clusterRef": {"name": "pg"}, "readReplicas": replicas});
    json!({
        "apiVersion": "scalableapp.dev/v1alpha1", "kind": "ScalableApp",
        "metadata": {"name": name, "namespace": "store", "uid": name, "generation": 1, "resourceVersion": "1",
            "creationTimestamp": format!("2026-11-30T10:00:{second:02}Z")},
        "spec": {
            "services": [{"name": "web", "image": "shop:1", "port": 80}],
            "databases": [{"name": "main", "postgres": {"cnpg": cnpg}}],
        },
    })
}

impl ApiServer {
    fn new(cluster: Value, replicas: &Value) -> Self {
        Self {
            cluster: Arc::new(Mutex::new(Some(cluster))),
            refusal: None,
            apps: vec![app("shop", 1, replicas)],
            statuses: Arc::default(),
            writes: Arc::default(),
        }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        fake::client(move |head, body| {
            let server = server.clone();
            async move { server.answer(&head.method, head.uri.path(), body) }
        })
    }

    fn answer(&self, method: &Method, path: &str, mut body: Value) -> Answer {
        let list = |items: Vec<Value>| {
            (StatusCode::OK, json!({"metadata": {"resourceVersion": "1"}, "items": items}))
        };
        match (method.as_str(), path) {
            ("GET", CLUSTERS) => match &self.refusal {
                Some(refusal) => refusal.clone(),
                None => list(self.cluster.lock().unwrap().iter().cloned().collect()),
            },
            ("GET", path) if path.ends_with("/scalableapps") => list(self.apps.clone()),
            ("GET", _) => not_found(),
            ("PATCH", path) if path.ends_with("/status") => {
                let name = path.split('/').nth_back(1).unwrap().to_owned();
                self.statuses.lock().unwrap().insert(name, body["status"].clone());
                body["spec"] = json!({"services": []});
                (StatusCode::OK, body)
            }
            (_, path) if path.contains("/leases") || path.contains("/events") => (StatusCode::OK, body),
            (method, path) => {
                self.writes.lock().unwrap().push(format!("{method} {path}"));
                if path == SCALE { self.scale(&body) } else { (StatusCode::OK, body) }
            }
        }
    }

    /// As Kubernetes does: a write with another `resourceVersion` than the current one is a conflict.
    fn scale(&self, body: &Value) -> Answer {
        let mut cluster = self.cluster.lock().unwrap();
        let cluster = cluster.as_mut().unwrap();
        if body["metadata"]["resourceVersion"] != cluster["metadata"]["resourceVersion"] {
            return failure(StatusCode::CONFLICT, "Conflict", "the object has been modified");
        }
        cluster["spec"]["instances"] = body["spec"]["replicas"].clone();
        cluster["metadata"]["resourceVersion"] = json!("8");
        cluster["metadata"]["generation"] = json!(2);
        let scale = json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": "pg", "namespace": "store", "resourceVersion": "8"}, "spec": body["spec"],
        });
        (StatusCode::OK, scale)
    }

    /// The leader, which has listed what there is.
    async fn operator(&self) -> Arc<Context> {
        let client = self.client();
        let leadership = lead(client.clone()).await;
        let scope = Scope::new(client.clone(), &[]);
        let (apps, touched) = reflect_written(&scope);
        tokio::spawn(touched.for_each(|_| async {}));
        timeout(LIMIT, apps.wait_until_ready()).await.unwrap().unwrap();
        let (clusters, touched) = reflect_clusters(&scope);
        tokio::spawn(touched.for_each(|_| async {}));
        let listed = async {
            while clusters.get("store", "pg").is_err_and(|access| access == Access::Unlisted) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, listed).await.unwrap();
        context(&client, leadership, Cluster { apps, clusters, ..Watches::new(&scope).cluster })
    }

    /// Reconciles the app of this name once.
    async fn reconcile(&self, name: &str) {
        let operator = self.operator().await;
        let apps = operator.cluster.apps.state();
        let is_named = |one: &&Arc<GuardedApp>| {
            one.0.as_ref().is_ok_and(|app| app.metadata.name.as_deref() == Some(name))
        };
        let app = Arc::clone(apps.iter().find(is_named).unwrap());
        reconcile(app, operator).await.unwrap();
    }

    fn instances(&self) -> Value {
        self.cluster.lock().unwrap().as_ref().unwrap()["spec"]["instances"].clone()
    }

    /// Writes that concern the Cluster.
    fn writes_of_cluster(&self) -> Vec<String> {
        let writes = self.writes.lock().unwrap();
        writes.iter().filter(|one| one.contains("cnpg")).cloned().collect()
    }

    /// Reason and message of `Ready` of an app.
    fn ready(&self, name: &str) -> (String, String) {
        let statuses = self.statuses.lock().unwrap();
        let conditions = statuses[name]["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|one| one["type"] == "Ready").unwrap();
        let text = |field: &str| ready[field].as_str().unwrap().to_owned();
        (text("reason"), text("message"))
    }
}

#[tokio::test]
async fn a_cluster_gets_its_primary_and_the_replicas_by_its_scale_and_rests_then() {
    let api = ApiServer::new(healthy(1, &json!({})), &json!({"min": 2, "max": 2}));
    api.reconcile("shop").await;
    assert_eq!(api.writes_of_cluster(), [format!("PATCH {SCALE}")]);
    assert_eq!(api.instances(), 3);
    api.cluster.lock().unwrap().as_mut().unwrap()["status"] = status_of(3);
    api.reconcile("shop").await;
    assert_eq!(api.writes_of_cluster().len(), 1, "at rest nothing is written");
    let status = api.statuses.lock().unwrap()["shop"].clone();
    let main = status["components"].as_array().unwrap().iter().find(|one| one["name"] == "main").unwrap();
    assert_eq!((&main["tier"], &main["desired"], &main["ready"]), (&json!("database"), &json!(2), &json!(2)));
}

#[rstest]
#[case::no_definition(
    failure(StatusCode::NOT_FOUND, "NotFound", "page not found"),
    "CloudNativePG is not installed"
)]
#[case::no_right(failure(StatusCode::FORBIDDEN, "Forbidden", "no"), "the operator may not read the Clusters")]
#[tokio::test]
async fn without_cloud_native_pg_the_app_says_so_and_its_service_runs(
    #[case] refusal: Answer,
    #[case] words: &str,
) {
    let mut api = ApiServer::new(healthy(1, &json!({})), &json!({"min": 2, "max": 2}));
    api.refusal = Some(refusal);
    api.reconcile("shop").await;
    let (reason, message) = api.ready("shop");
    assert_eq!(reason, "CloudNativePGMissing");
    assert!(message.contains(words), "{message}");
    let writes = api.writes.lock().unwrap();
    assert!(writes.iter().any(|one| one.contains("/deployments/shop-web-")), "{writes:?}");
}

#[tokio::test]
async fn a_cluster_that_does_not_exist_is_named() {
    let api = ApiServer::new(Value::Null, &json!({"min": 2, "max": 2}));
    *api.cluster.lock().unwrap() = None;
    api.reconcile("shop").await;
    let (reason, message) = api.ready("shop");
    assert_eq!(reason, "ClusterNotFound");
    assert!(message.contains("the Cluster pg of CloudNativePG does not exist"), "{message}");
}

#[rstest]
#[case("/status/phase", json!("Failing over"))]
#[case("/status/targetPrimary", json!("pg-2"))]
#[tokio::test]
async fn a_cluster_in_motion_is_left_alone(#[case] field: &str, #[case] value: Value) {
    let mut cluster = healthy(2, &json!({}));
    *cluster.pointer_mut(field).unwrap() = value;
    let api = ApiServer::new(cluster, &json!({"min": 3, "max": 3}));
    api.reconcile("shop").await;
    assert_eq!(api.writes_of_cluster(), Vec::<String>::new());
}

#[rstest]
#[case(json!({"postgresql": {"synchronous": {"method": "any", "number": 2}}}), 3)]
#[case(json!({"postgresql": {"synchronous": {"method": "any", "number": 2, "standbyNamesPre": ["far"]}}}), 2)]
#[case(json!({"minSyncReplicas": 1, "maxSyncReplicas": 3}), 4)]
#[case(json!({}), 2)]
#[tokio::test]
async fn synchronous_replication_keeps_the_replicas_that_it_needs(
    #[case] spec: Value,
    #[case] instances: i64,
) {
    let api = ApiServer::new(healthy(5, &spec), &json!({"min": 1, "max": 1}));
    api.reconcile("shop").await;
    assert_eq!(api.instances(), instances);
}

#[tokio::test]
async fn of_two_apps_the_older_one_scales_a_cluster() {
    let mut api = ApiServer::new(healthy(2, &json!({})), &json!({"min": 1, "max": 1}));
    api.apps.push(app("later", 2, &json!({"min": 4, "max": 4})));
    api.reconcile("later").await;
    let (reason, message) = api.ready("later");
    assert_eq!(reason, "ClusterScaledByOtherApp");
    assert!(message.contains("the app shop scales the Cluster pg already"), "{message}");
    assert_eq!(api.writes_of_cluster(), Vec::<String>::new());
    api.reconcile("shop").await;
    assert_ne!(api.ready("shop").0, "ClusterScaledByOtherApp");
}

#[tokio::test]
async fn a_change_by_somebody_else_since_it_was_read_is_not_overwritten() {
    let api = ApiServer::new(healthy(1, &json!({})), &json!({"min": 2, "max": 2}));
    let operator = api.operator().await;
    api.cluster.lock().unwrap().as_mut().unwrap()["metadata"]["resourceVersion"] = json!("9");
    let app = operator.cluster.apps.state().remove(0);
    reconcile(app, operator).await.unwrap();
    assert_eq!(api.instances(), 1);
}
