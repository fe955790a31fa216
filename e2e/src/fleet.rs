//! Many ScalableApps on a hollow cluster, with one operator and a Prometheus with preset answers. Talks to the API
//! server and runs the operator.

mod apps;
mod outage;
mod reaction;
mod replicas;
mod rest;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use scalableapp_cluster::chart::OPERATOR_NAMESPACE;
use scalableapp_cluster::paths::ClusterDir;
use tempfile::TempDir;

use crate::operator::LocalOperator;
use crate::prometheus_stub::{AppKey, PrometheusStub};
use crate::world::{AuditLog, local_cluster, wait_until};

pub use apps::{AT_REST, Arm, PER_REPLICA, operator_kubeconfig};
pub use outage::Outage;
pub use reaction::Reaction;
pub use replicas::ReplicaWatch;
pub use rest::Rest;

/// A fleet of running apps.
pub struct Fleet {
    /// The apps.
    pub apps: Vec<AppKey>,
    /// The source of the operator's measurements.
    pub prometheus: PrometheusStub,
    /// The operator; `None` after it was stopped.
    pub operator: Option<LocalOperator>,
    /// `spec.replicas` of each app over time.
    pub replicas: ReplicaWatch,
    /// From the first created object until the last app was ready.
    pub load_time: Duration,
    client: Client,
    cluster: ClusterDir,
    audit: AuditLog,
    _directory: TempDir,
}

impl Fleet {
    /// Creates `count` apps on a hollow cluster with the chart, and waits until all are ready. The operator runs with
    /// the rights of the chart's ServiceAccount, because no pod of such a cluster runs anything.
    ///
    /// # Errors
    /// When the operator is not built, or the apps are not ready in time.
    pub async fn start(cluster: &ClusterDir, arm: Arm, count: usize) -> Result<Self> {
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())
            .context("failed to read the kubeconfig: bring the cluster up with 'cluster --hollow up'")?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        let directory = tempfile::tempdir()?;
        let prometheus = PrometheusStub::start()?;
        let prefix = format!("fleet-{:04x}", fastrand::u16(..));
        let apps = apps::names(&prefix, count);
        apps.iter().for_each(|app| prometheus.set(app, AT_REST));
        apps::make_namespaces(&client, &apps).await?;
        let replicas = ReplicaWatch::start(client.clone(), &prefix);
        let kubeconfig = apps::operator_kubeconfig(&client, cluster, directory.path()).await?;
        let operator = LocalOperator::start(
            "fleet",
            &kubeconfig,
            OPERATOR_NAMESPACE,
            &prometheus.url(),
            directory.path(),
            arm.arguments(),
        )?;
        let started = Instant::now();
        apps::make(&client, arm, &apps).await?;
        let patience = Duration::from_secs(120) + Duration::from_millis(300) * u32::try_from(count)?;
        wait_until("all apps are up", patience, async || apps::are_up(&client, &apps, &replicas).await)
            .await
            .with_context(|| format!("the operator says: {}", operator.log()))?;
        let load_time = started.elapsed();
        Ok(Self {
            apps,
            prometheus,
            operator: Some(operator),
            replicas,
            load_time,
            audit: AuditLog::of(cluster),
            client,
            cluster: cluster.clone(),
            _directory: directory,
        })
    }

    /// The hollow cluster of `KUBECONFIG`.
    ///
    /// # Errors
    /// When the variable is not set.
    pub fn cluster() -> Result<ClusterDir> {
        let path = std::env::var_os("KUBECONFIG").map(PathBuf::from);
        let cluster = path.as_deref().and_then(local_cluster);
        cluster.context("set KUBECONFIG to a hollow cluster's: 'cluster --name NAME kubeconfig'")
    }

    /// Deletes the apps with their namespaces, in the background.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn end(self) -> Result<()> {
        apps::delete_namespaces(&self.client, &self.apps).await
    }

    /// Some of the apps, drawn at random.
    #[must_use]
    pub fn some(&self, count: usize) -> Vec<AppKey> {
        fastrand::choose_multiple(self.apps.iter().cloned(), count)
    }

    fn running_operator(&self) -> Result<&LocalOperator> {
        self.operator.as_ref().context("the operator was stopped")
    }
}
