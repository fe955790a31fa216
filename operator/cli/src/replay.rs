//! `kubectl scalableapp replay`: repeats recorded decisions with the engine of this plugin's version. I/O: reads a file
//! or standard input, writes to stdout.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use scalableapp_crds::Proposal;
use scalableapp_engine::record::{Difference, Record};
use serde_json::Value;
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
    let (mut replayed, mut same, mut unreadable) = (0, 0, 0);
    for (number, line) in input.split(b'\n').enumerate() {
        let line = line.map_err(failed)?;
        let record = match read(&String::from_utf8_lossy(&line)) {
            Ok(None) => continue,
            Ok(Some(record)) => record,
            Err(why) => {
                unreadable += 1;
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
    if replayed + unreadable == 0 {
        return Err(ReplayError::NoDecision(path.clone()));
    }
    let unread =
        if unreadable == 0 { String::new() } else { format!("; {unreadable} records cannot be read") };
    writeln!(io::stdout(), "{replayed} decisions were made once more, {same} of them as recorded{unread}")?;
    Ok(replayed == same && unreadable == 0)
}

/// The record of a line, if it is one; or why it cannot be read. Logs may have something before it.
fn read(line: &str) -> Result<Option<Record>, serde_json::Error> {
    let Some(begin) = line.find('{') else { return Ok(None) };
    let line = &line[begin..];
    let value = match serde_json::from_str::<Value>(line) {
        Ok(value) => value,
        // The operator writes the version first, so a line that was cut off can be told from other text.
        Err(error) if line.starts_with("{\"version\":") => return Err(error),
        Err(_) => return Ok(None),
    };
    if ["namespace", "app", "input"].iter().any(|field| value.get(field).is_none()) {
        return Ok(None);
    }
    let version = value.get("version").map(|version| version.as_u64().unwrap_or_default());
    Record::read(version, value).map(Some)
}

fn difference(record: &Record, one: &Difference<'_>) -> String {
    let Record { namespace, app, input, .. } = record;
    let Difference { component, recorded, now } = one;
    let before = format!(
        "{namespace}/{app} {component} at {}: recorded {} -> {}, {} ({})",
        input.now, recorded.from, recorded.to, recorded.message, recorded.reason,
    );
    let Some(now) = now else { return format!("{before}; now nothing is decided") };
    let proposal =
        |one: &Proposal| format!("{} {}", one.metric, one.replicas.map_or("-".to_owned(), |n| n.to_string()));
    let listed = |all: &[Proposal]| all.iter().map(proposal).collect::<Vec<_>>().join(", ");
    let (was, is) = (listed(&recorded.proposals), listed(&now.proposals));
    let proposals = if was == is { String::new() } else { format!("; proposals were {was}, now {is}") };
    let (from, to, message, reason) = (now.current, now.desired, now.message(), now.reason.name);
    format!("{before}; now {from} -> {to}, {message} ({reason}){proposals}")
}
