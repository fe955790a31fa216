//! Prints the demo's steps with the elapsed time. Writes to standard output.

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

    /// Prints the start of a step, or a note on it.
    pub(crate) fn say(&self, what: &str) {
        println!("[{:>4} s] {what}", self.started.elapsed().as_secs());
    }

    /// Does one step; the error of a failure names it.
    pub(crate) fn step<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.say(what);
        work().with_context(|| format!("the step '{what}' failed"))
    }
}
