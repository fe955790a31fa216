//! kubectl plugin for ScalableApp: the process. I/O.

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use kubectl_scalableapp::args::{Arguments, Command};
use kubectl_scalableapp::printable::printable;
use kubectl_scalableapp::{acts, diagnose, explain, lint, replay, rollout, watch};

/// The command line or the connection is wrong. clap's own code for it is 2, which here is the time-out.
const FAILED: u8 = 3;
/// The output has no reader any more: a shell reports this code for a process that SIGPIPE has ended, as kubectl.
const UNREAD: u8 = 141;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
            // If the message cannot be written, the exit code still reports it.
            let _ = error.print();
            return code;
        }
    };
    ExitCode::from(run(arguments).await.unwrap_or_else(|error| failed(error.as_ref())))
}

async fn run(Arguments { connection, command }: Arguments) -> Result<u8, Box<dyn Error>> {
    Ok(match command {
        Command::Status(arguments) => watch::run(arguments, connection).await? as u8,
        Command::Explain(arguments) => {
            explain::run(arguments, connection).await?;
            0
        }
        Command::Diagnose(arguments) => {
            diagnose::run(arguments, connection).await?;
            0
        }
        Command::Override(arguments) => {
            acts::override_(arguments, connection).await?;
            0
        }
        Command::Pause(arguments) => {
            acts::pause(arguments, connection).await?;
            0
        }
        Command::Resume(arguments) => {
            acts::resume(arguments, connection).await?;
            0
        }
        Command::Rollout(arguments) => rollout::run(arguments, connection).await? as u8,
        Command::Replay(arguments) => u8::from(!replay::run(&arguments)?),
        Command::Lint(arguments) => u8::from(!lint::run(&arguments)?),
    })
}

fn failed(error: &(dyn Error + 'static)) -> u8 {
    if is_unread(error) {
        return UNREAD;
    }
    // Unlike eprintln, which panics where standard error is closed.
    let _ = writeln!(io::stderr(), "error: {}", printable(&error.to_string()));
    FAILED
}

/// Whether the output could not be written because its reader has gone. Errors of the cluster have their cause as text,
/// so a pipe among the causes is one of this process.
fn is_unread(error: &(dyn Error + 'static)) -> bool {
    let is_pipe = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    error.downcast_ref().is_some_and(is_pipe) || error.source().is_some_and(is_unread)
}
