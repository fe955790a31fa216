//! A test's own operator and Prometheus, which it may stop: a release of the chart in the test's namespace. Runs helm,
//! talks to the API server.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::World;
use super::wait::wait_until;
use crate::CRATE_DIR;
use crate::operator;

/// Averaging window of the request rate there, a third of the default.
pub const REQUEST_WINDOW: Duration = Duration::from_secs(20);
/// Age from which a sample is stale there.
pub const STALENESS: Duration = Duration::from_secs(20);
/// Window that a diagnosis judges there. Latency that no metric uses is measured every 12 s.
pub const DIAGNOSIS_WINDOW: Duration = Duration::from_secs(48);

/// The operator of [`World::own_operator`], in an excluded namespace.
pub struct OwnOperator<'a> {
    world: &'a World,
}

/// The programs of the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The operator.
    Operator,
    /// The bundled Prometheus.
    Prometheus,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Prometheus => "prometheus",
        }
    }
}

impl World {
    /// Installs the chart for the test's namespace alone, which is one of [`World::apart`], with short times.
    ///
    /// # Errors
    /// With the error of helm.
    pub async fn own_operator(&self) -> Result<OwnOperator<'_>> {
        self.own_operator_with(&json!({})).await
    }

    /// The same, with other values of the chart beside those of every test, or in place of them.
    ///
    /// # Errors
    /// With the error of helm.
    pub async fn own_operator_with(&self, more: &Value) -> Result<OwnOperator<'_>> {
        let mut values = self.values();
        merge(&mut values, more);
        let install = ["install", self.namespace(), "charts/scalableapp", "--values", "-"];
        self.helm(&[&install[..], &["--wait", "--timeout", "2m"]].concat(), &values).await?;
        Ok(OwnOperator { world: self })
    }

    /// Removes the objects of the release outside of the namespace.
    pub(super) async fn uninstall(&self) -> Result<()> {
        self.helm(&["uninstall", self.namespace(), "--ignore-not-found"], &Value::Null).await
    }

    fn values(&self) -> Value {
        let seconds = |duration: Duration| format!("{}s", duration.as_secs());
        let mut bundled = json!({
            "scrapeInterval": "2s",
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        });
        if let Some((repository, tag)) = self.images().prometheus().and_then(|image| image.rsplit_once(':')) {
            bundled["image"] = json!({"repository": repository, "tag": tag});
        }
        let (repository, tag) = self.images().operator.rsplit_once(':').unwrap_or_default();
        json!({
            "image": {"repository": repository, "tag": tag},
            "watchNamespaces": [self.namespace()],
            "crds": {"enabled": false},
            "liveApi": {"enabled": false},
            "resources": {"requests": {"cpu": "10m"}},
            "tick": "2s",
            "prometheus": {
                "timeout": "1500ms",
                "queryInterval": "2s",
                "requestWindow": seconds(REQUEST_WINDOW),
                "staleness": seconds(STALENESS),
                "diagnosisWindow": seconds(DIAGNOSIS_WINDOW),
                "canarySlice": "5s",
                "bundled": bundled,
            },
        })
    }

    async fn helm(&self, arguments: &[&str], input: &Value) -> Result<()> {
        let mut child = self
            .program("helm")?
            .args(arguments)
            .args(["--namespace", self.namespace()])
            .current_dir(format!("{CRATE_DIR}/.."))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to run helm")?;
        // Dropping the pipe closes it, which ends the input.
        child.stdin.take().context("no pipe to the input")?.write_all(input.to_string().as_bytes()).await?;
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!("'helm {}' says: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

impl OwnOperator<'_> {
    fn object(&self, program: Program) -> String {
        format!("{}-{}", self.world.namespace(), program.name())
    }

    /// The holder of the Lease.
    ///
    /// # Errors
    /// When there is none.
    pub async fn leader(&self) -> Result<String> {
        operator::leader(self.world.client(), self.world.namespace(), &self.object(Program::Operator)).await
    }

    /// Kills the operator's pod without grace, as a crash of its node would.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn crash(&self) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(self.world.client(), self.world.namespace());
        let pods = ListParams::default().labels("app.kubernetes.io/component=operator");
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        api.delete_collection(&at_once, &pods).await.context("failed to delete the operator's pod")?;
        Ok(())
    }

    /// Sets the replicas of a program and waits until this many pods are ready, and no others remain.
    ///
    /// # Errors
    /// When this takes too long.
    pub async fn scale(&self, program: Program, replicas: i32) -> Result<()> {
        let api: Api<Deployment> = Api::namespaced(self.world.client(), self.world.namespace());
        let name = self.object(program);
        let patch = json!({"spec": {"replicas": replicas}});
        api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .context("failed to scale the Deployment")?;
        wait_until(&format!("{replicas} pods of {name} are ready"), Duration::from_secs(60), async || {
            let deployment = api.get(&name).await?;
            let status = deployment.status.unwrap_or_default();
            let generation = deployment.metadata.generation;
            ensure!(status.observed_generation == generation, "the change is not seen yet");
            ensure!(status.ready_replicas.unwrap_or(0) == replicas, "{:?} are ready", status.ready_replicas);
            ensure!(status.replicas.unwrap_or(0) == replicas, "there are {:?}", status.replicas);
            Ok(())
        })
        .await
    }

    /// Desired replicas of a component of `shop`, of this process' last decision.
    ///
    /// # Errors
    /// When the process does not answer, or has not decided yet.
    pub async fn desired(&self, component: &str) -> Result<i32> {
        let service = format!("{}:http", self.object(Program::Operator));
        let metrics = self.world.service_get(self.world.namespace(), &service, "/metrics").await?;
        let of_component = format!("component=\"{component}\"");
        let mut lines = metrics.lines().filter(|line| line.starts_with("scalableapp_desired_replicas{"));
        let line = lines.find(|line| line.contains(&of_component)).context("no decision yet")?;
        let (_, value) = line.rsplit_once(' ').context("no value")?;
        Ok(value.parse()?)
    }
}

/// Sets values in place of others; those of a map beside its others.
fn merge(values: &mut Value, more: &Value) {
    match more {
        Value::Object(more) if values.is_object() => {
            for (name, value) in more {
                merge(&mut values[name], value);
            }
        }
        more => *values = more.clone(),
    }
}
