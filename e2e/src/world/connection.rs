//! The cluster of the tests, and the images of our programs there. Reads the environment and the kubeconfig.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use scalableapp_cluster::paths::{Cache, ClusterDir};

use super::audit::AuditLog;

/// Images that the cluster can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// The operator.
    pub operator: String,
    /// The reference service.
    pub app: String,
    /// The load generator.
    pub load: String,
    prometheus: Option<String>,
    postgres: Option<String>,
    redis: Option<String>,
}

/// A reachable cluster.
pub(super) struct Connection {
    pub(super) client: Client,
    /// Without retries: the answers of a test's program matter, even a 503.
    pub(super) direct: Client,
    pub(super) kubeconfig: PathBuf,
    pub(super) images: Images,
    pub(super) audit: Option<AuditLog>,
}

impl Images {
    /// Variables take precedence. Without them the local cluster has images under fixed names, and another one has
    /// none.
    fn resolve(local: bool, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let known =
            |name: &str, local_image: &str| variable(name).or_else(|| local.then(|| local_image.to_owned()));
        let image = |name: &str, local_image: &str| known(name, local_image).with_context(|| is_unset(name));
        Ok(Self {
            operator: image("OPERATOR_IMAGE", "localhost/scalableapp-operator:dev")?,
            app: image("APP_IMAGE", "localhost/app-template:dev")?,
            load: image("LOAD_IMAGE", "localhost/scalableapp-load:dev")?,
            prometheus: known("PROMETHEUS_IMAGE", "localhost/prometheus:v3.16.0"),
            postgres: known("POSTGRES_IMAGE", "localhost/postgres:debian"),
            redis: known("REDIS_IMAGE", "localhost/redis:debian"),
        })
    }

    /// Prometheus; without one the chart's default.
    #[must_use]
    pub fn prometheus(&self) -> Option<&str> {
        self.prometheus.as_deref()
    }

    /// PostgreSQL, which only the tests of the shop need.
    ///
    /// # Errors
    /// On a cluster of one's own for which no image is named.
    pub fn postgres(&self) -> Result<&str> {
        self.postgres.as_deref().with_context(|| is_unset("POSTGRES_IMAGE"))
    }

    /// Redis, which only the tests of the shop need.
    ///
    /// # Errors
    /// On a cluster of one's own for which no image is named.
    pub fn redis(&self) -> Result<&str> {
        self.redis.as_deref().with_context(|| is_unset("REDIS_IMAGE"))
    }
}

fn is_unset(name: &str) -> String {
    format!("{name} is not set: on a cluster of your own, name an image that it can pull")
}

pub(super) async fn connect() -> Result<Connection> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let path = match variable("KUBECONFIG") {
        Some(path) => PathBuf::from(path),
        None => Cache::from_env()?.cluster("scalableapp").kubeconfig(),
    };
    let kubeconfig = Kubeconfig::read_from(&path).with_context(|| {
        format!(
            "failed to read {}: bring the local cluster up with 'cluster up', or set KUBECONFIG",
            path.display()
        )
    })?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_namespace = "default".to_owned();
    let client = Client::try_from(config.clone())?;
    config.default_retry = false;
    let direct = Client::try_from(config)?;
    client.apiserver_version().await.context("failed to reach the cluster: is it up?")?;
    let local = local_cluster(&path).filter(|dir| dir.audit_log().exists());
    let images = Images::resolve(local.is_some(), variable)?;
    Ok(Connection { client, direct, kubeconfig: path, images, audit: local.map(|dir| AuditLog::of(&dir)) })
}

/// The local cluster of a kubeconfig.
pub(crate) fn local_cluster(kubeconfig: &Path) -> Option<ClusterDir> {
    let root = kubeconfig.parent()?;
    Some(ClusterDir { name: root.file_name()?.to_str()?.to_owned(), root: root.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_ones_own_has_to_be_told_the_images() {
        let error = Images::resolve(false, |_| None).unwrap_err().to_string();
        assert!(error.contains("OPERATOR_IMAGE"), "{error}");
        let images = Images::resolve(false, |name| Some(format!("example/{name}"))).unwrap();
        assert_eq!(images.app, "example/APP_IMAGE");
        let given = |name: &str| (!name.starts_with("POSTGRES")).then(|| name.to_owned());
        let images = Images::resolve(false, given).unwrap();
        assert_eq!(images.redis().unwrap(), "REDIS_IMAGE");
        assert!(images.postgres().unwrap_err().to_string().contains("POSTGRES_IMAGE"));
    }

    #[test]
    fn the_local_cluster_knows_its_images_and_a_variable_still_wins() {
        let images = Images::resolve(true, |name| (name == "APP_IMAGE").then(|| "x:1".to_owned())).unwrap();
        assert_eq!((images.app.as_str(), images.load.as_str()), ("x:1", "localhost/scalableapp-load:dev"));
    }
}
