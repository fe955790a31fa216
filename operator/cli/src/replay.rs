//! `kubectl scalableapp replay`: repeats recorded decisions with the engine of this plugin's version. I/O: reads a file
//! or standard input, writes to stdout.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use scalableapp_engine::record::Record;
use thiserror::Error;

use crate::args::ReplayArguments;
use crate::printable::printable;

/// Why the replay failed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("failed to read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file contains no decisions.
    #[error(
        "failed to find a decision in {0}: give it what the operator wrote with --decision-records (chart: decisionRecords)"
    )]
    NoDecision(PathBuf),
    /// The output could not be written.
    #[error("failed to write what was replayed: {0}")]
    Output(#[from] io::Error),
}

/// Replays every decision of the file, and returns whether all have the recorded result. Other lines are skipped, so
/// the operator's whole log is a valid input.
///
/// # Errors
/// When the file cannot be read or holds no decision.
pub fn run(arguments: &ReplayArguments) -> Result<bool, ReplayError> {
    let path = &arguments.file;
    let failed = |source| ReplayError::Read { path: path.clone(), source };
    let input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).map_err(failed)?))
    };
    let (mut replayed, mut same) = (0, 0);
    for line in input.lines() {
        let line = line.map_err(failed)?;
        let Ok(record) = serde_json::from_str::<Record>(&line) else { continue };
        replayed += 1;
        if record.replays() {
            same += 1;
        } else {
            writeln!(io::stdout(), "{}", printable(&difference(&record)))?;
        }
    }
    if replayed == 0 {
        return Err(ReplayError::NoDecision(path.clone()));
    }
    writeln!(io::stdout(), "{replayed} decisions were made once more, {same} of them as recorded")?;
    Ok(replayed == same)
}

fn difference(record: &Record) -> String {
    let Record { namespace, app, component, input, decision, .. } = record;
    let recorded = format!(
        "{namespace}/{app} {component} at {}: recorded {} -> {}, {}",
        input.now, decision.from, decision.to, decision.message,
    );
    match record.replay() {
        Some(now) => format!("{recorded}; now {} -> {}, {}", now.current, now.desired, now.message()),
        None => format!("{recorded}; now nothing is decided"),
    }
}
