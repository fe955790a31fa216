//! kubectl plugin for ScalableApp: the process. I/O.

use std::process::ExitCode;

use clap::Parser;
use kubectl_scalableapp::args::{Arguments, Command};
use kubectl_scalableapp::printable::printable;
use kubectl_scalableapp::{acts, explain, replay, watch};

/// The command line or the connection is wrong. clap's own code for it is 2, which here says that time ran out.
const FAILED: u8 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
            // Where the message cannot be written, the exit code still says it.
            let _ = error.print();
            return code;
        }
    };
    ExitCode::from(run(arguments.command).await.unwrap_or_else(|error| {
        eprintln!("error: {}", printable(&error));
        FAILED
    }))
}

async fn run(command: Command) -> Result<u8, String> {
    match command {
        Command::Status(status) => {
            watch::run(status).await.map(|outcome| outcome as u8).map_err(|error| error.to_string())
        }
        Command::Explain(explain) => done(explain::run(explain).await),
        Command::Override(arguments) => done(acts::override_(arguments).await),
        Command::Pause(arguments) => done(acts::pause(arguments).await),
        Command::Resume(arguments) => done(acts::resume(arguments).await),
        Command::Replay(arguments) => {
            replay::run(&arguments).map(|same| u8::from(!same)).map_err(|error| error.to_string())
        }
    }
}

fn done<E: ToString>(result: Result<(), E>) -> Result<u8, String> {
    result.map(|()| 0).map_err(|error| error.to_string())
}
