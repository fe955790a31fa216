//! The command line. Pure.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What a ScalableApp does, and why.
#[derive(Debug, Parser)]
#[command(name = "kubectl-scalableapp", bin_name = "kubectl scalableapp", version)]
pub struct Arguments {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show request rate, latency, replicas and the reason of the last decision of each component.
    #[command(after_help = EXIT_CODES)]
    Status(StatusArguments),
    /// Show the last decision of each component stage by stage: what was measured, and what each stage made of it.
    Explain(ExplainArguments),
}

/// Which cluster, and where in it.
#[derive(Debug, Args)]
pub struct ConnectionArguments {
    /// The app's namespace; the kubeconfig's if it is not given.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// The kubeconfig file; $KUBECONFIG or ~/.kube/config if it is not given.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; its current one if it is not given.
    #[arg(long)]
    pub context: Option<String>,
}

/// The arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The app.
    pub name: String,
    /// The component; every component of the app if it is not given.
    pub component: Option<String>,
    /// Shape of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub connection: ConnectionArguments,
}

const EXIT_CODES: &str = "Exit codes: 0 every app is ready, 1 an app is not ready, 2 the time-out passed first, 3 the command line or the connection is wrong.";

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// The app; every app of the namespace if it is not given.
    pub name: Option<String>,
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// Go on showing: in place on a terminal, a line for each change elsewhere.
    #[arg(short, long)]
    pub watch: bool,
    /// Stop watching when every app is ready, or when one cannot become ready without help, and after this time at the latest (90s, 10m, 1h).
    #[arg(long, requires = "watch", value_parser = timeout)]
    pub timeout: Option<Duration>,
    /// Shape of the output; with --watch, json is one line for each look.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Namespace of the operator; found by its label where Services may be listed, else scalableapp-system.
    #[arg(long)]
    pub operator_namespace: Option<String>,
    /// Service of the operator; found by its label where Services may be listed, else scalableapp-operator.
    #[arg(long)]
    pub operator_service: Option<String>,
}

/// Shape of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    Table,
    /// JSON for programs.
    Json,
}

fn timeout(text: &str) -> Result<Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write it as 90s, 10m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn a_timeout_is_written_as_in_go() {
        let command = parse("x status shop --watch --timeout 10m").unwrap().command;
        let Command::Status(status) = command else { panic!("{command:?}") };
        assert_eq!(status.timeout, Some(Duration::from_secs(600)));
        for bad in [
            "x status --watch --timeout 0s",
            "x status --watch --timeout=-1m",
            "x status --watch --timeout 5",
        ] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("write it as 90s, 10m or 1h"), "{error}");
        }
    }

    #[test]
    fn a_timeout_without_watch_is_refused() {
        let error = parse("x status --timeout 10m").unwrap_err().to_string();
        assert!(error.contains("--watch"), "{error}");
    }
}
