//! Decisions as JSON Lines, each with its input. I/O: appends to a file or to standard output.

use scalableapp_engine::record::Record;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The destination of decisions, if any.
#[derive(Default)]
pub struct DecisionLog(Option<Mutex<Box<dyn Write + Send>>>);

impl DecisionLog {
    /// Opens the file to append to it; `-` is standard output, and `None` writes nothing.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let sink: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            Box::new(OpenOptions::new().create(true).append(true).open(path)?)
        };
        Ok(Self(Some(Mutex::new(sink))))
    }

    /// Whether decisions are written.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Writes one decision as one line. A failed write is lost, and no decision waits for it.
    pub fn write(&self, record: &Record) {
        let Some(sink) = &self.0 else { return };
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let line = serde_json::to_string(record).map_err(io::Error::from);
        if let Err(error) = line.and_then(|line| writeln!(sink, "{line}")) {
            tracing::warn!(app = record.app, %error, "failed to write a decision to --decision-records");
        }
    }
}
