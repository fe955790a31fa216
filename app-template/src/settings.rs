//! What may change while the process runs: a folder with a file for each value, as Kubernetes mounts a ConfigMap.
//! I/O: reads the folder.
//!
//! A file is named like the variable that it overrides. What is decided at run time stands here and not in the
//! pod's environment, so that changing it restarts nothing.

use std::path::PathBuf;

use tokio::task::spawn_blocking;

/// The folder, if there is one.
#[derive(Debug, Clone)]
pub(crate) struct Settings(Option<PathBuf>);

impl Settings {
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self(folder)
    }

    /// The value of `name` before the process serves. It blocks for the time of a read.
    pub(crate) fn read_at_start(&self, name: &'static str) -> Option<String> {
        let text = std::fs::read_to_string(self.0.as_ref()?.join(name)).ok()?;
        Some(text.trim().to_owned())
    }

    /// The value of `name` as it is now, without white space around it.
    pub(crate) async fn read(&self, name: &'static str) -> Option<String> {
        let file = self.0.as_ref()?.join(name);
        let text = spawn_blocking(move || std::fs::read_to_string(file).ok()).await.ok()??;
        Some(text.trim().to_owned())
    }
}
