//! An operator of a test's own, with the rights of the chart's ServiceAccount. Runs processes.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Client, ResourceExt};
use scalableapp_cluster::chart::OPERATOR_NAMESPACE;
use scalableapp_e2e::fleet::{Fleet, operator_kubeconfig};
use scalableapp_e2e::operator::LocalOperator;
use scalableapp_e2e::prometheus_stub::PrometheusStub;
use scalableapp_e2e::world::wait_until;
use std::time::Duration;
use tempfile::TempDir;

/// The operator that is attacked, and the Prometheus that it asks.
pub struct Arena {
    /// The operator. A test may start it again by [`Arena::restart`].
    pub operator: LocalOperator,
    /// What the operator measures.
    pub prometheus: PrometheusStub,
    client: Client,
    namespaces: Vec<String>,
    directory: TempDir,
}

impl Arena {
    /// Starts an operator with these arguments beside the usual ones.
    ///
    /// # Errors
    /// When `KUBECONFIG` names no hollow cluster with the chart, or the operator is not built.
    pub async fn start(client: Client, arguments: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let prometheus = PrometheusStub::start()?;
        operator_kubeconfig(&client, &Fleet::cluster()?, directory.path()).await?;
        let operator = operator(&directory, &prometheus, arguments)?;
        Ok(Self { operator, prometheus, client, namespaces: Vec::new(), directory })
    }

    /// Kills the operator and starts another, as the kubelet would after a crash.
    ///
    /// # Errors
    /// As [`Arena::start`].
    pub fn restart(&mut self, arguments: &[&str]) -> Result<()> {
        self.operator = operator(&self.directory, &self.prometheus, arguments)?;
        Ok(())
    }

    /// Makes a namespace for one more tenant, and returns its name.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn tenant(&mut self) -> Result<String> {
        let namespace: Namespace = serde_json::from_value(serde_json::json!({
            "metadata": {"generateName": "tenant-", "labels": {"scalableapp.dev/e2e": "true"}},
        }))?;
        let api: Api<Namespace> = Api::all(self.client.clone());
        let name = api.create(&PostParams::default(), &namespace).await?.name_any();
        self.namespaces.push(name.clone());
        Ok(name)
    }

    /// Waits until the operator answers `/metrics` and says that it leads.
    ///
    /// # Errors
    /// When it does not in time; with what it has said.
    pub async fn leads(&self) -> Result<()> {
        wait_until("the operator leads", Duration::from_secs(60), async || {
            let metrics = self.operator.metrics().await?;
            let leads = metrics.lines().any(|line| line == "scalableapp_leader 1");
            ensure!(leads, "it does not lead");
            Ok(())
        })
        .await
        .with_context(|| format!("the operator says: {}", self.operator.log()))
    }

    /// Deletes the tenants; the cluster does that in its own time.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn end(self) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.client);
        for name in self.namespaces {
            api.delete(&name, &DeleteParams::background()).await?;
        }
        Ok(())
    }
}

fn operator(directory: &TempDir, prometheus: &PrometheusStub, arguments: &[&str]) -> Result<LocalOperator> {
    let kubeconfig = directory.path().join("kubeconfig");
    LocalOperator::start(
        "attacked",
        &kubeconfig,
        OPERATOR_NAMESPACE,
        &prometheus.url(),
        directory.path(),
        arguments,
    )
}
