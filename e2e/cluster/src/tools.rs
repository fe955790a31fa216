//! The programs around a cluster: cargo, and the cluster's own kubectl and helm. Runs processes.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::paths::{Cache, ClusterDir, repository};

/// The programs, and their cluster.
pub struct Tools {
    /// The repository.
    pub repository: PathBuf,
    /// kubectl, helm and the cluster's other programs.
    pub bin: PathBuf,
    /// The cluster's state.
    pub cluster: ClusterDir,
}

impl Tools {
    /// The tools for the cluster of this name.
    ///
    /// # Errors
    /// When there is no cache folder.
    pub fn new(cluster: &str) -> Result<Self> {
        let cache = Cache::from_env()?;
        Ok(Self { repository: repository()?, bin: cache.bin(), cluster: cache.cluster(cluster) })
    }

    /// Runs cargo in the repository, with visible output.
    ///
    /// # Errors
    /// When the program fails, with its output.
    pub fn cargo(&self, arguments: &[&str]) -> Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(arguments).current_dir(&self.repository);
        // cargo's variables of our own package: build scripts that read them would run again each time.
        let of_package =
            |name: &str| ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|start| name.starts_with(start));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
            command.env_remove(name);
        }
        let status = command.status();
        if !status.context("failed to run cargo")?.success() {
            bail!("'cargo {}' failed for the reason above", arguments.join(" "));
        }
        Ok(())
    }

    /// Runs a program of the repository, with visible output.
    ///
    /// # Errors
    /// When the program fails.
    pub fn program(&self, path: &str) -> Result<()> {
        let status = Command::new(self.repository.join(path)).current_dir(&self.repository).status();
        if !status.with_context(|| format!("failed to run {path}"))?.success() {
            bail!("'{path}' failed for the reason above");
        }
        Ok(())
    }

    /// Runs the program `cluster`, with visible output.
    ///
    /// No package is named here or anywhere in the demo: cargo builds dependencies once for each set of packages.
    ///
    /// # Errors
    /// When the program fails, with its output.
    pub fn cluster(&self, arguments: &[&str]) -> Result<()> {
        let run = ["run", "--release", "--quiet", "--bin", "cluster", "--", "--name", &self.cluster.name];
        self.cargo(&[run.as_slice(), arguments].concat())
    }

    /// Runs helm and returns its output.
    ///
    /// # Errors
    /// When the program fails, with its output.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.run("helm", arguments, "")
    }

    /// Runs kubectl and returns its output.
    ///
    /// # Errors
    /// When the program fails, with its output.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run("kubectl", arguments, "")
    }

    /// Applies an object.
    ///
    /// # Errors
    /// When the program fails, with its output.
    pub fn apply(&self, object: &serde_json::Value) -> Result<()> {
        let arguments = ["apply", "--server-side", "--field-manager=demo", "--filename=-"];
        self.run("kubectl", &arguments, &object.to_string()).map(drop)
    }

    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(self.bin.join(program))
            .args(arguments)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .current_dir(&self.repository)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to run {program}"))?;
        // Dropping the pipe closes it, which ends the input.
        child.stdin.take().context("no pipe to the input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("'{program} {}' says: {}", arguments.join(" "), said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
