//! The apps of a fleet: their names, their manifests, and the rights of the operator. Talks to the API server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, ResourceExt};
use scalableapp_cluster::chart::OPERATOR_NAMESPACE;
use scalableapp_cluster::paths::ClusterDir;
use scalableapp_crds::{ConditionStatus, ScalableApp};
use serde_json::{Value, json};

use super::replicas::ReplicaWatch;
use crate::operator::OPERATOR;
use crate::prometheus_stub::AppKey;

/// Requests per second of one replica.
pub const PER_REPLICA: f64 = 10.0;
/// The rate of an app at rest: exactly one replica.
pub const AT_REST: f64 = PER_REPLICA;
/// Apps of one namespace.
const PER_NAMESPACE: usize = 25;
/// Simultaneous requests that create objects.
const AT_ONCE: usize = 16;

/// The metric of the apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// The request rate, with one template query for all apps.
    Templates,
    /// A custom query of each app.
    Custom,
}

impl Arm {
    /// Its name in a table, with the query interval if it differs from the tick.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Templates => "templates",
            Self::Custom => "custom queries every 10 s",
        }
    }

    /// The operator's additional arguments.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Templates => &[],
            Self::Custom => &["--prometheus-query-interval", "10s"],
        }
    }

    fn app(self, (namespace, name): &AppKey) -> Result<ScalableApp> {
        let per_replica = PER_REPLICA.to_string();
        let query = format!("sum(rate(http_requests_total{{app=\"{name}\"}}[1m]))");
        let (metrics_port, metric) = match self {
            Self::Templates => {
                (Some(9090), json!({"name": "rps", "requestRate": {"perReplica": per_replica}}))
            }
            Self::Custom => {
                (None, json!({"name": "rps", "prometheus": {"query": query, "perReplica": per_replica}}))
            }
        };
        let mut app = json!({
            "apiVersion": "scalableapp.dev/v1alpha1",
            "kind": "ScalableApp",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"image": "localhost/none:1", "services": [{
                "name": "web",
                "port": 8080,
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                "scaling": {
                    "minReplicas": 1,
                    "maxReplicas": 20,
                    "metrics": [metric],
                    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
                },
            }]},
        });
        if let Some(port) = metrics_port {
            app["spec"]["services"][0]["metricsPort"] = json!(port);
        }
        Ok(serde_json::from_value(app)?)
    }
}

/// The names of `count` apps.
pub(super) fn names(prefix: &str, count: usize) -> Vec<AppKey> {
    (0..count).map(|index| (format!("{prefix}-{}", index / PER_NAMESPACE), format!("app-{index}"))).collect()
}

fn namespaces(apps: &[AppKey]) -> BTreeSet<&str> {
    apps.iter().map(|(namespace, _)| namespace.as_str()).collect()
}

pub(super) async fn make_namespaces(client: &Client, apps: &[AppKey]) -> Result<()> {
    let api: Api<Namespace> = Api::all(client.clone());
    for name in namespaces(apps) {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        api.create(&PostParams::default(), &namespace).await.context("failed to make a namespace")?;
    }
    Ok(())
}

pub(super) async fn delete_namespaces(client: &Client, apps: &[AppKey]) -> Result<()> {
    let api: Api<Namespace> = Api::all(client.clone());
    for name in namespaces(apps) {
        api.delete(name, &DeleteParams::background()).await.context("failed to delete a namespace")?;
    }
    Ok(())
}

pub(super) async fn make(client: &Client, arm: Arm, apps: &[AppKey]) -> Result<()> {
    let create = async |key: &AppKey| -> Result<()> {
        let api: Api<ScalableApp> = Api::namespaced(client.clone(), &key.0);
        api.create(&PostParams::default(), &arm.app(key)?).await.context("failed to make a ScalableApp")?;
        Ok(())
    };
    stream::iter(apps).map(create).buffer_unordered(AT_ONCE).try_collect().await
}

/// Succeeds if each app is Ready.
pub(super) async fn are_up(client: &Client, apps: &[AppKey], replicas: &ReplicaWatch) -> Result<()> {
    // The watch is free, so the apps are read only when their pods are ready.
    let with_pods = replicas.ready_apps();
    ensure!(with_pods == apps.len(), "{with_pods} of {} have a ready pod", apps.len());
    let mut ready = 0;
    for namespace in namespaces(apps) {
        let api: Api<ScalableApp> = Api::namespaced(client.clone(), namespace);
        ready += api.list(&ListParams::default()).await?.iter().filter(|app| is_up(app)).count();
    }
    ensure!(ready == apps.len(), "{ready} of {} are Ready", apps.len());
    Ok(())
}

fn is_up(app: &ScalableApp) -> bool {
    let conditions = app.status.as_ref().map_or(&[][..], |status| &status.conditions);
    conditions.iter().any(|one| one.type_ == "Ready" && one.status == ConditionStatus::True)
}

/// Writes a kubeconfig with a token of the operator's ServiceAccount.
///
/// # Errors
/// When the chart is not installed, or the file cannot be written.
pub async fn operator_kubeconfig(client: &Client, cluster: &ClusterDir, directory: &Path) -> Result<PathBuf> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let account = accounts.get(OPERATOR).await;
    let account = account.context("the operator has no ServiceAccount: run 'cluster install'")?.name_any();
    let request: TokenRequest =
        serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 24 * 60 * 60}}))?;
    let answer = accounts.create_token_request(&account, &PostParams::default(), &request).await?;
    let token = answer.status.context("the API server gave no token")?.token;
    let mut content: Value = serde_json::from_slice(&std::fs::read(cluster.kubeconfig())?)?;
    content["users"][0]["user"] = json!({"token": token});
    let path = directory.join("kubeconfig");
    std::fs::write(&path, content.to_string())?;
    Ok(path)
}
