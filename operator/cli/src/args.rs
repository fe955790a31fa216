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
    /// Change the scaling of an app for a while: hold its replicas, or give it other bounds.
    Override(OverrideArguments),
    /// Write nothing for an app for a while, but its status.
    Pause(PauseArguments),
    /// End every override of an app.
    Resume(ResumeArguments),
    /// Make recorded decisions once more, and show those that come out otherwise now.
    #[command(
        after_help = "Exit codes: 0 every decision came out as recorded, 1 one did not, 3 there was none."
    )]
    Replay(ReplayArguments),
}

/// The arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// The file that the operator wrote with --decision-records, or its log; `-` is standard input.
    pub file: PathBuf,
}

/// How long an act lasts, and who does it why.
#[derive(Debug, Args)]
pub struct ActArguments {
    /// How long it lasts (30m, 2h); it ends by itself.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub duration: Duration,
    /// Why, for those who find it.
    #[arg(long)]
    pub reason: String,
    /// Who acts; the user of the kubeconfig if it is not given.
    #[arg(long)]
    pub by: Option<String>,
}

/// The arguments of `override`.
#[derive(Debug, Args)]
pub struct OverrideArguments {
    /// The app.
    pub name: String,
    /// The component; every component of the app if it is not given.
    #[arg(long)]
    pub component: Option<String>,
    /// What counts instead of the app's own.
    #[command(flatten)]
    pub what: OverrideWhat,
    /// How long, who and why.
    #[command(flatten)]
    pub act: ActArguments,
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub connection: ConnectionArguments,
}

/// What an override asks for.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct OverrideWhat {
    /// Keep the replicas that there are.
    #[arg(long, conflicts_with_all = ["min", "max", "exact"])]
    pub hold: bool,
    /// At least so many replicas.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub min: Option<i32>,
    /// At most so many replicas.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub max: Option<i32>,
    /// Exactly so many replicas.
    #[arg(long, conflicts_with_all = ["min", "max"], value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub exact: Option<i32>,
}

/// The arguments of `pause`.
#[derive(Debug, Args)]
pub struct PauseArguments {
    /// The app.
    pub name: String,
    /// How long, who and why.
    #[command(flatten)]
    pub act: ActArguments,
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub connection: ConnectionArguments,
}

/// The arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArguments {
    /// The app.
    pub name: String,
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub connection: ConnectionArguments,
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
    #[arg(long, requires = "watch", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Shape of the output; with --watch, json is one line for each look.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Shape of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    Table,
    /// JSON for programs.
    Json,
}

fn duration(text: &str) -> Result<Duration, String> {
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
