//! The view of one test on a real cluster: its own namespace, and its operations. Talks to the API server.

mod app;
mod audit;
mod call;
mod canary;
mod cloud_native_pg;
mod connection;
mod decisions;
mod dump;
mod exec;
mod gateway;
mod load_pod;
mod manifest;
mod own_operator;
mod place;
mod prometheus;
mod servers;
mod wait;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use futures::FutureExt;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, LogParams};
use kubectl_scalableapp::live;
use scalableapp_crds::LiveApp;

pub use audit::{AuditLog, Mark, Mutation};
pub use call::Answer;
use connection::Connection;
pub use connection::Images;
pub(crate) use connection::local_cluster;
pub use load_pod::LoadPod;
pub use own_operator::{DIAGNOSIS_WINDOW, OwnOperator, Program, REQUEST_WINDOW, STALENESS};
pub use prometheus::{Prometheus, Sample};
pub use servers::Server;
pub use wait::{holds_for, wait_until};

/// The cluster, as the test of one promise sees it.
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
    /// Runs the test of a promise in its own namespace, which enforces the *restricted* Pod Security Standard.
    ///
    /// The cluster is that of `KUBECONFIG`, otherwise the local one. When the test fails or panics, the content of the
    /// namespace is written to `target/e2e/PROMISE`. The namespace is deleted in any case.
    ///
    /// # Errors
    /// When no cluster can be reached, and with the test's own error.
    pub async fn run(promise: &str, test: impl AsyncFnOnce(&World) -> Result<()>) -> Result<()> {
        let world = Self::connect(promise, false).await?;
        let outcome = world.keep(test).await;
        let deleted = world.delete_namespace().await;
        outcome.unwrap_or_else(|panic| resume_unwind(panic)).and(deleted)
    }

    /// As [`World::run`], in a namespace that the cluster's operator excludes.
    ///
    /// # Errors
    /// As [`World::run`], and when the cluster's operator would write there.
    pub async fn apart(promise: &str, test: impl AsyncFnOnce(&World) -> Result<()>) -> Result<()> {
        let world = Self::connect(promise, true).await?;
        let outcome = world.keep(test).await;
        let uninstalled = world.uninstall().await;
        let deleted = world.delete_namespace().await;
        outcome.unwrap_or_else(|panic| resume_unwind(panic)).and(uninstalled).and(deleted)
    }

    /// Runs the test, prints its duration, and saves its remains if it failed or panicked.
    async fn keep(&self, test: impl AsyncFnOnce(&World) -> Result<()>) -> std::thread::Result<Result<()>> {
        let begun = Instant::now();
        let outcome = AssertUnwindSafe(test(self)).catch_unwind().await;
        // `.ci/test` collects these lines.
        println!("promise {} took {} s", self.promise, begun.elapsed().as_secs());
        let words = match &outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:?}")),
            Err(_) => Some("the test panicked: its words are in the test's output".to_owned()),
        };
        if let Some(words) = words {
            self.dump(&words).await;
        }
        outcome
    }

    async fn connect(promise: &str, is_apart: bool) -> Result<Self> {
        let Connection { client, direct, kubeconfig, images, audit } = connection::connect().await?;
        let namespace =
            if is_apart { place::excluded(&client).await? } else { place::watched(&client, promise).await? };
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

    /// The images of our programs.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// The API server's audit log.
    ///
    /// # Errors
    /// On any cluster except the local one, whose audit log is a file of this machine.
    pub fn audit(&self) -> Result<&AuditLog> {
        self.audit
            .as_ref()
            .context("only the local cluster's audit log can be read: unset KUBECONFIG and use 'cluster up'")
    }

    /// The log of a pod's container. A pod with one container needs no name of it.
    ///
    /// # Errors
    /// When the pod or its log cannot be read.
    pub async fn logs(&self, pod: &str, container: Option<&str>) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client(), &self.namespace);
        let parameters = LogParams { container: container.map(str::to_owned), ..LogParams::default() };
        pods.logs(pod, &parameters).await.with_context(|| format!("failed to read the log of pod {pod}"))
    }

    /// The operator's live measurements of an app of the test's namespace, as the plugin reads them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn live(&self, name: &str) -> Result<LiveApp> {
        Ok(live::measurements(&self.client, &self.namespace, name).await?)
    }

    /// The answer of a Service to a GET, through the API server. The service is written `name:port`.
    ///
    /// # Errors
    /// When it answers with an error or not at all.
    pub async fn service_get(&self, namespace: &str, service: &str, path_and_query: &str) -> Result<String> {
        let uri = format!("/api/v1/namespaces/{namespace}/services/{service}/proxy{path_and_query}");
        let request = hyper::Request::get(uri).body(Vec::new())?;
        let answer = self.direct.request_text(request).await;
        answer.with_context(|| format!("failed to get {path_and_query} of service {service} in {namespace}"))
    }
}
