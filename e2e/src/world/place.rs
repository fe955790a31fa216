//! The namespace of a test: any, or one that the cluster's operator excludes. Talks to the API server.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use scalableapp_cluster::chart::{EXCLUDED_NAMESPACES, OPERATOR_NAMESPACE};
use serde_json::{Value, json};

use super::wait::wait_until;
use crate::operator::OPERATOR;

/// Time limit for the deletion of another test's namespace.
const PATIENCE: Duration = Duration::from_secs(180);

/// Creates a namespace that the cluster's operator watches, and returns its name.
pub(super) async fn watched(client: &Client, promise: &str) -> Result<String> {
    let name = json!({"generateName": format!("{}-", promise.replace('_', "-"))});
    let created = create(client, name).await.context("failed to create the test's namespace")?;
    Ok(created.name_any())
}

/// Creates a namespace that the cluster's operator excludes, and returns its name.
pub(super) async fn excluded(client: &Client) -> Result<String> {
    is_excluded(client).await?;
    wait_until("one of the excluded namespaces is free", PATIENCE, async || {
        for name in EXCLUDED_NAMESPACES {
            // The API server gives it to one test only.
            match create(client, json!({"name": name})).await {
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                created => return Ok(created.context("failed to create the test's namespace")?.name_any()),
            }
        }
        bail!("all of {} exist: delete what an interrupted run left", EXCLUDED_NAMESPACES.join(", "))
    })
    .await
}

async fn create(client: &Client, mut metadata: Value) -> kube::Result<Namespace> {
    metadata["labels"] =
        json!({"pod-security.kubernetes.io/enforce": "restricted", "scalableapp.dev/e2e": "true"});
    let namespace: Namespace =
        serde_json::from_value(json!({"metadata": metadata})).map_err(kube::Error::SerdeError)?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await
}

/// Otherwise two operators would write to an app.
async fn is_excluded(client: &Client) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let Some(operator) = deployments.get_opt(OPERATOR).await? else { return Ok(()) };
    let pod = operator.spec.and_then(|spec| spec.template.spec);
    let args = pod.into_iter().flat_map(|pod| pod.containers).flat_map(|one| one.args.unwrap_or_default());
    let wanted = format!("--exclude-namespaces={}", EXCLUDED_NAMESPACES.join(","));
    ensure!(
        args.into_iter().any(|arg| arg == wanted),
        "the cluster's operator runs without {wanted}: install the chart by 'cluster install', or with excludeNamespaces"
    );
    Ok(())
}
