//! Load from inside the cluster: the load generator as a pod of the test's namespace. Talks to the API server.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use super::{World, wait_until};
use crate::load::{Profile, Report, target};

/// Time for the start of the pod and its report, beside its profile.
const ALLOWANCE: Duration = Duration::from_secs(90);

/// A running load generator.
pub struct LoadPod<'a> {
    world: &'a World,
    name: String,
    deadline: Duration,
}

impl World {
    /// Starts load on a Service, for example `http://web.NAMESPACE.svc/work` with the profile `20s@10,60s@200`.
    ///
    /// # Errors
    /// When the URL or the profile is refused, or the pod cannot be created.
    pub async fn start_load(&self, name: &str, url: &str, profile: &str) -> Result<LoadPod<'_>> {
        self.start_load_with(name, (url, profile), &[]).await
    }

    /// Starts POSTs of a JSON text to a Service, each twice with the same `Idempotency-Key`.
    ///
    /// # Errors
    /// As [`World::start_load`].
    pub async fn start_posts(
        &self,
        name: &str,
        url: &str,
        json: &Value,
        profile: &str,
    ) -> Result<LoadPod<'_>> {
        self.start_load_with(name, (url, profile), &["--post", &json.to_string()]).await
    }

    /// Starts requests without a time-out.
    ///
    /// # Errors
    /// As [`World::start_load`].
    pub async fn start_hanging(&self, name: &str, url: &str, profile: &str) -> Result<LoadPod<'_>> {
        self.start_load_with(name, (url, profile), &["--patience", "0", "--timeout", "3600"]).await
    }

    async fn start_load_with(
        &self,
        name: &str,
        (url, profile): (&str, &str),
        more: &[&str],
    ) -> Result<LoadPod<'_>> {
        target::parse(url)?;
        let duration = profile.parse::<Profile>()?.duration();
        let pods: Api<Pod> = Api::namespaced(self.client(), &self.namespace);
        let arguments = [["--url", url, "--profile", profile].as_slice(), more].concat();
        let pod = pod(name, &self.images.load, &arguments)?;
        pods.create(&PostParams::default(), &pod).await.context("failed to create the load generator")?;
        Ok(LoadPod { world: self, name: name.to_owned(), deadline: duration + ALLOWANCE })
    }
}

impl LoadPod<'_> {
    /// Kills the generator without waiting for answers.
    ///
    /// # Errors
    /// When the pod cannot be deleted.
    pub async fn kill(self) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.world.client(), &self.world.namespace);
        pods.delete(&self.name, &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }

    /// Waits for the end of the profile and returns the counts.
    ///
    /// # Errors
    /// When the generator does not start, fails, or reports no counts.
    pub async fn finish(self) -> Result<Report> {
        let pods: Api<Pod> = Api::namespaced(self.world.client(), &self.world.namespace);
        let phase = wait_until("the load generator has ended", self.deadline, async || {
            let status = pods.get(&self.name).await?.status.unwrap_or_default();
            match status.phase.as_deref() {
                Some(phase @ ("Succeeded" | "Failed")) => Ok(phase.to_owned()),
                phase => bail!("its phase is {}{}", phase.unwrap_or("unknown"), waiting_for(&status)),
            }
        })
        .await?;
        let log = self.world.logs(&self.name, None).await?;
        if phase == "Failed" {
            bail!("the load generator failed: {}", log.trim());
        }
        // The log contains two streams, so the counts need not be its last line.
        let counts = log.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        counts.with_context(|| format!("the load generator told no counts: {}", log.trim()))
    }
}

/// Why the container has not started, such as an image that cannot be pulled.
fn waiting_for(status: &PodStatus) -> String {
    let container = status.container_statuses.iter().flatten().next();
    let waiting = container.and_then(|container| container.state.as_ref()?.waiting.as_ref());
    waiting
        .and_then(|waiting| waiting.message.as_ref())
        .map(|message| format!(": {message}"))
        .unwrap_or_default()
}

fn pod(name: &str, image: &str, arguments: &[&str]) -> Result<Pod> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "load",
                "image": image,
                "args": arguments,
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    }))?)
}
