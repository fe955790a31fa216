//! The recorded decisions of the operator. Talks to the API server.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};
use scalableapp_cluster::chart::OPERATOR_NAMESPACE;
use scalableapp_engine::record::Record;

use super::World;

impl World {
    /// The decisions on the apps of the test's namespace in the logs of the operator's pods.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub async fn decisions(&self) -> Result<Vec<Record>> {
        let pods: Api<Pod> = Api::namespaced(self.client(), OPERATOR_NAMESPACE);
        let operator = ListParams::default().labels("app.kubernetes.io/component=operator");
        let mut decisions = Vec::new();
        for pod in pods.list(&operator).await?.items {
            let log = pods.logs(&pod.name_any(), &LogParams::default()).await;
            let log = log.context("failed to read the operator's log")?;
            decisions.extend(log.lines().filter_map(|line| serde_json::from_str::<Record>(line).ok()));
        }
        decisions.retain(|decision| decision.namespace == self.namespace());
        Ok(decisions)
    }
}
