//! A gateway in the cluster, for one test at a time: its definitions are those of the whole cluster. Talks to the API server.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use scalableapp_cluster::gateway;
use serde_json::json;

use super::{LoadPod, World, wait_until};

const PATIENCE: Duration = Duration::from_secs(120);

impl World {
    /// Installs Gateway API and a gateway, and waits until it is ready. `cluster gateway` loads its image.
    ///
    /// # Errors
    /// When the definitions cannot be read, or the gateway is not ready in time.
    pub async fn install_gateway(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client());
        wait_until("no earlier gateway is there", PATIENCE, async || {
            ensure!(namespaces.get_opt(gateway::NAMESPACE).await?.is_none(), "its namespace is there");
            Ok(())
        })
        .await?;
        self.apply(&gateway::definitions()?).await?;
        // A definition is served a moment after it is written.
        wait_until("the gateway is applied", PATIENCE, async || {
            self.apply(&gateway::manifests()).await.map(drop)
        })
        .await?;
        let deployments: Api<Deployment> = Api::namespaced(self.client(), gateway::NAMESPACE);
        wait_until("the gateway is ready", PATIENCE, async || {
            let status = deployments.get(gateway::NAME).await?.status.unwrap_or_default();
            ensure!(status.ready_replicas == Some(1), "{status:?}");
            Ok(())
        })
        .await
    }

    /// Removes the gateway and Gateway API, with all HTTPRoutes.
    ///
    /// # Errors
    /// When something of it cannot be deleted.
    pub async fn remove_gateway(&self) -> Result<()> {
        self.delete(&gateway::manifests()).await?;
        self.delete(&gateway::definitions()?).await
    }

    /// The `route` of a service behind the gateway, by the host name of the gateway in the cluster.
    pub fn route(&self) -> serde_json::Value {
        json!({
            "parentRefs": [{"name": gateway::NAME, "namespace": gateway::NAMESPACE}],
            "hostnames": [format!("{}.{}.svc", gateway::NAME, gateway::NAMESPACE)],
        })
    }

    /// Starts load that reaches the app through the gateway.
    ///
    /// # Errors
    /// As [`World::start_load`].
    pub async fn load_gateway(&self, name: &str, path: &str, profile: &str) -> Result<LoadPod<'_>> {
        let url = format!("http://{}.{}.svc{path}", gateway::NAME, gateway::NAMESPACE);
        self.start_load(name, &url, profile).await
    }

    /// The HTTPRoutes of the test's namespace.
    pub fn http_routes(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
        Api::namespaced_with(self.client(), self.namespace(), &ApiResource::from_gvk(&kind))
    }
}
