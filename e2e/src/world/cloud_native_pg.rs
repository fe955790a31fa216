//! CloudNativePG in the cluster, for one test at a time: its definitions are those of the whole cluster. Talks to the API
//! server.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::Api;
use scalableapp_cluster::cloud_native_pg;
use scalableapp_cluster::paths::Cache;

use super::{World, wait_until};

const NAMESPACE: &str = "cnpg-system";
const OPERATOR: &str = "cnpg-controller-manager";
const GROUP: &str = ".postgresql.cnpg.io";
/// Its operator has a tenth of a core.
const PATIENCE: Duration = Duration::from_secs(180);

impl World {
    /// Installs CloudNativePG, and waits until its operator is ready. `cluster cloud-native-pg` loads its image.
    ///
    /// # Errors
    /// When its manifests cannot be read, or the operator is not ready in time.
    pub async fn install_cloud_native_pg(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client());
        wait_until("no earlier CloudNativePG is there", PATIENCE, async || {
            ensure!(namespaces.get_opt(NAMESPACE).await?.is_none(), "its namespace is there");
            self.has_no_definitions().await
        })
        .await?;
        self.apply(&cloud_native_pg::manifests(&Cache::from_env()?)?).await?;
        let deployments: Api<Deployment> = Api::namespaced(self.client(), NAMESPACE);
        wait_until("the operator of CloudNativePG is ready", PATIENCE, async || {
            let status = deployments.get(OPERATOR).await?.status.unwrap_or_default();
            ensure!(status.ready_replicas == Some(1), "{status:?}");
            Ok(())
        })
        .await
    }

    /// Removes CloudNativePG and all of its Clusters.
    ///
    /// # Errors
    /// When something of it stays.
    pub async fn remove_cloud_native_pg(&self) -> Result<()> {
        self.delete(&cloud_native_pg::manifests(&Cache::from_env()?)?).await?;
        wait_until("CloudNativePG is gone", PATIENCE, async || self.has_no_definitions().await).await
    }

    async fn has_no_definitions(&self) -> Result<()> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client());
        let mut names = definitions.list_metadata(&kube::api::ListParams::default()).await?.items;
        names.retain(|one| one.name_any().ends_with(GROUP));
        ensure!(names.is_empty(), "{} definitions are there", names.len());
        Ok(())
    }
}
