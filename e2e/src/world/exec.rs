//! Runs programs inside the pods of the test's namespace, by kubectl. Runs programs.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use scalableapp_cluster::paths::Cache;
use tokio::process::Command;

use super::World;

impl World {
    /// Runs a program in a container of a pod, and returns its output.
    ///
    /// # Errors
    /// When it fails, with its output.
    pub async fn exec(&self, pod: &str, container: &str, command: &[&str]) -> Result<String> {
        let output = self
            .program("kubectl")?
            .args(["exec", pod, "--container", container, "--namespace", &self.namespace, "--"])
            .args(command)
            .stdin(Stdio::null())
            .output()
            .await
            .context("failed to run kubectl")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("'{}' in pod {pod} says: {}", command.join(" "), said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The local cluster's kubectl or helm, otherwise the machine's.
    pub(super) fn program(&self, name: &str) -> Result<Command> {
        let ours = Cache::from_env()?.bin().join(name);
        let mut command = Command::new(if ours.exists() { ours } else { PathBuf::from(name) });
        command.env("KUBECONFIG", &self.kubeconfig).kill_on_drop(true);
        Ok(command)
    }
}
