//! Saves the namespace of a failed test before its deletion. Talks to the API server, writes files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams, LogParams};
use kube::discovery::{ApiResource, Discovery, Scope, verbs};

use super::World;
use crate::CRATE_DIR;

/// The label of the operator's pods in any namespace, from its chart.
const OPERATOR_PODS: &str = "app.kubernetes.io/name=scalableapp,app.kubernetes.io/component=operator";

impl World {
    /// Writes the error, all objects but Secrets, and the logs of the namespace and of the operator.
    pub(super) async fn dump(&self, error: &str) {
        let folder = Path::new(CRATE_DIR).join("../target/e2e").join(&self.promise);
        match self.write_dump(&folder, error).await {
            Ok(()) => eprintln!("what the test left is in {}", folder.display()),
            Err(failure) => eprintln!("failed to keep what the test left: {failure:#}"),
        }
    }

    async fn write_dump(&self, folder: &PathBuf, error: &str) -> Result<()> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder.join("logs"))?;
        fs::write(folder.join("error.txt"), error)?;
        let discovery = Discovery::new(self.client()).run_aggregated().await?;
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                let listed =
                    capabilities.scope == Scope::Namespaced && capabilities.supports_operation(verbs::LIST);
                if listed && resource.kind != "Secret" {
                    self.dump_objects(folder, &resource).await?;
                }
            }
        }
        let pods: Api<Pod> = Api::namespaced(self.client(), &self.namespace);
        self.dump_logs(folder, pods.list(&ListParams::default()).await?.items).await?;
        let operators: Api<Pod> = Api::all(self.client());
        self.dump_logs(folder, operators.list(&ListParams::default().labels(OPERATOR_PODS)).await?.items)
            .await
    }

    async fn dump_objects(&self, folder: &Path, resource: &ApiResource) -> Result<()> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), &self.namespace, resource);
        // A kind that cannot be listed, such as one whose definition was just deleted, does not affect the others.
        let Ok(objects) = api.list(&ListParams::default()).await else { return Ok(()) };
        if objects.items.is_empty() {
            return Ok(());
        }
        let group = if resource.group.is_empty() { String::new() } else { format!(".{}", resource.group) };
        let file = folder.join(format!("{}{group}.yaml", resource.plural));
        let text = serde_saphyr::to_string(&objects.items).context("failed to write YAML")?;
        Ok(fs::write(file, text)?)
    }

    async fn dump_logs(&self, folder: &Path, pods: Vec<Pod>) -> Result<()> {
        for pod in pods {
            let (name, namespace) =
                (pod.metadata.name.unwrap_or_default(), pod.metadata.namespace.unwrap_or_default());
            let api: Api<Pod> = Api::namespaced(self.client(), &namespace);
            let spec = pod.spec.unwrap_or_default();
            for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
                for previous in [false, true] {
                    let parameters = LogParams {
                        container: Some(container.name.clone()),
                        previous,
                        ..LogParams::default()
                    };
                    // A container that has not started has no log, and one without a restart has no previous one.
                    if let Ok(log) = api.logs(&name, &parameters).await {
                        let run = if previous { "-previous" } else { "" };
                        fs::write(
                            folder.join("logs").join(format!("{name}-{}{run}.log", container.name)),
                            log,
                        )?;
                    }
                }
            }
        }
        Ok(())
    }
}
