//! What one test sees of a real cluster: a namespace of its own, and what it may do there. Talks to the API server.

mod app;
mod audit;
mod call;
mod connection;
mod decisions;
mod dump;
mod exec;
mod load_pod;
mod manifest;
mod prometheus;
mod servers;
mod wait;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use futures::FutureExt;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, LogParams, PostParams};
use kubectl_scalableapp::live;
use scalableapp_crds::LiveApp;
use serde_json::json;

pub use audit::{AuditLog, Mark, Mutation};
pub use call::Answer;
use connection::Connection;
pub use connection::Images;
pub(crate) use connection::local_cluster;
pub use load_pod::LoadPod;
pub use prometheus::{Prometheus, Sample};
pub use servers::Server;
pub use wait::{holds_for, wait_until};

/// The cluster, seen by the test of one promise.
pub struct World {
    promise: String,
    namespace: String,
    client: Client,
    direct: Client,
    kubeconfig: PathBuf,
    images: Images,
    audit: Option<AuditLog>,
}

impl World {
    /// Runs the test of a promise in a namespace of its own, which enforces the *restricted* Pod Security Standard.
    ///
    /// The cluster is that of `KUBECONFIG`, else the local one. When the test fails or panics, what is in the namespace
    /// is written to `target/e2e/PROMISE`. The namespace is deleted either way.
    ///
    /// # Errors
    /// When no cluster can be reached, and with the test's own error.
    pub async fn run(promise: &str, test: impl AsyncFnOnce(&World) -> Result<()>) -> Result<()> {
        let world = Self::connect(promise).await?;
        let outcome = AssertUnwindSafe(test(&world)).catch_unwind().await;
        let words = match &outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:?}")),
            Err(_) => Some("the test panicked: its words are in the test's output".to_owned()),
        };
        if let Some(words) = words {
            world.dump(&words).await;
        }
        let deleted = world.delete_namespace().await;
        outcome.unwrap_or_else(|panic| resume_unwind(panic)).and(deleted)
    }

    async fn connect(promise: &str) -> Result<Self> {
        let Connection { client, direct, kubeconfig, images, audit } = connection::connect().await?;
        let namespace: Namespace = serde_json::from_value(json!({
            "metadata": {
                "generateName": format!("{}-", promise.replace('_', "-")),
                "labels": {
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "scalableapp.dev/e2e": "true",
                },
            },
        }))?;
        let created = Api::all(client.clone()).create(&PostParams::default(), &namespace).await;
        let namespace = created.context("failed to create the test's namespace")?.metadata.name;
        let namespace = namespace.ok_or_else(|| anyhow!("the test's namespace has no name"))?;
        Ok(Self { promise: promise.to_owned(), namespace, client, direct, kubeconfig, images, audit })
    }

    async fn delete_namespace(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let deleted = namespaces.delete(&self.namespace, &DeleteParams::background()).await;
        deleted.context("failed to delete the test's namespace").map(drop)
    }

    /// The name of the test's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A client with the administrator's rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The images that the cluster runs our programs from.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// The API server's audit log.
    ///
    /// # Errors
    /// On any cluster but the local one, which alone keeps it in a file of this machine.
    pub fn audit(&self) -> Result<&AuditLog> {
        self.audit
            .as_ref()
            .context("only the local cluster's audit log can be read: unset KUBECONFIG and use 'cluster up'")
    }

    /// What a pod's container has said. A pod with one container needs no name of it.
    ///
    /// # Errors
    /// When the pod or its log cannot be read.
    pub async fn logs(&self, pod: &str, container: Option<&str>) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client(), &self.namespace);
        let parameters = LogParams { container: container.map(str::to_owned), ..LogParams::default() };
        pods.logs(pod, &parameters).await.with_context(|| format!("failed to read the log of pod {pod}"))
    }

    /// What the operator measured of an app of the test's namespace, as the plugin reads it.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn live(&self, name: &str) -> Result<LiveApp> {
        Ok(live::measurements(&self.client, &self.namespace, name).await?)
    }

    /// What a Service answers to a GET, through the API server. The service is written `name:port`.
    ///
    /// # Errors
    /// When it answers with an error or not at all.
    pub async fn service_get(&self, namespace: &str, service: &str, path_and_query: &str) -> Result<String> {
        let uri = format!("/api/v1/namespaces/{namespace}/services/{service}/proxy{path_and_query}");
        let request = hyper::Request::get(uri).body(Vec::new())?;
        let answer = self.client.request_text(request).await;
        answer.with_context(|| format!("failed to get {path_and_query} of service {service} in {namespace}"))
    }
}
