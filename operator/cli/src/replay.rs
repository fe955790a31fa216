//! `kubectl scalableapp replay`: repeats recorded decisions with the engine of this plugin's version. I/O: reads a file
//! or standard input, writes to stdout.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use scalableapp_engine::record::{Difference, Record};
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

/// Replays every decision of the file, and says whether all came out as they were recorded. Lines that are no decision
/// are passed over, so that the operator's whole log can be given. A record that cannot be read is named.
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
    for (number, line) in input.lines().enumerate() {
        let line = line.map_err(failed)?;
        let Some(record) = read(&line).transpose() else { continue };
        let record = match record {
            Ok(record) => record,
            Err(why) => {
                replayed += 1;
                writeln!(io::stdout(), "{}", printable(&format!("line {}: {why}", number + 1)))?;
                continue;
            }
        };
        let differences = record.differences();
        replayed += record.decisions.len();
        same += record.decisions.len() - differences.len();
        for one in &differences {
            writeln!(io::stdout(), "{}", printable(&difference(&record, one)))?;
        }
    }
    if replayed == 0 {
        return Err(ReplayError::NoDecision(path.clone()));
    }
    writeln!(io::stdout(), "{replayed} decisions were made once more, {same} of them as recorded")?;
    Ok(replayed == same)
}

/// The record of a line, if it is one; or why it cannot be read.
fn read(line: &str) -> Result<Option<Record>, serde_json::Error> {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else { return Ok(None) };
    let is_record = ["namespace", "app", "input"].iter().all(|field| value.get(field).is_some());
    if is_record { serde_json::from_str(line).map(Some) } else { Ok(None) }
}

fn difference(record: &Record, one: &Difference<'_>) -> String {
    let Record { namespace, app, input, .. } = record;
    let Difference { component, recorded, now } = one;
    let before = format!(
        "{namespace}/{app} {component} at {}: recorded {} -> {}, {}",
        input.now, recorded.from, recorded.to, recorded.message,
    );
    match now {
        Some(now) => format!("{before}; now {} -> {}, {}", now.current, now.desired, now.message()),
        None => format!("{before}; now nothing is decided"),
    }
}
