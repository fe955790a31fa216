//! Says what the demo does and how long it has run. Writes to standard output.

use std::time::Instant;

use anyhow::{Context, Result};

/// The steps of the demo.
pub(crate) struct Progress {
    started: Instant,
}

impl Progress {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Says that something begins, or what there is to know about it.
    pub(crate) fn say(&self, what: &str) {
        println!("[{:>4} s] {what}", self.started.elapsed().as_secs());
    }

    /// Does one step; when it fails, the error names it.
    pub(crate) fn step<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.say(what);
        work().with_context(|| format!("the step '{what}' failed"))
    }
}
