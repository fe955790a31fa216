//! The command line. Pure.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What a ScalableApp does, and why.
#[derive(Debug, Parser)]
#[command(name = "kubectl-scalableapp", bin_name = "kubectl scalableapp", version)]
pub struct Arguments {
    /// The cluster and the namespace.
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show request rate, latency, replicas and the reason of the last decision of each component.
    #[command(after_help = STATUS_HELP)]
    Status(StatusArguments),
    /// Show the last decision of each component stage by stage: the measurements, and the effect of each stage.
    Explain(ExplainArguments),
    /// Show the bottleneck of an app: the cause, since when, the numbers with their queries, the headroom, and the least
    /// complex step.
    #[command(after_help = DIAGNOSE_HELP)]
    Diagnose(DiagnoseArguments),
    /// Change the scaling of an app until a time: keep its replicas, or raise its minimum or lower its maximum.
    #[command(after_help = OVERRIDE_HELP)]
    Override(OverrideArguments),
    /// Stop every write of the operator to the children of an app until a time: no scaling, no rollout, no repair.
    #[command(after_help = PAUSE_HELP)]
    Pause(PauseArguments),
    /// Delete every ScalingOverride of an app: pauses, holds and bounds, whoever made them.
    #[command(after_help = RESUME_HELP)]
    Resume(ResumeArguments),
    /// Show a canary or a blue-green rollout, or act on it: the next step, the abort, another try, a hold.
    Rollout(RolloutArguments),
    /// Repeat recorded decisions, and show those with another result now.
    #[command(
        after_help = "Exit codes: 0 every decision came out as recorded, 1 one did not or cannot be read, 3 there was none or the file cannot be read."
    )]
    Replay(ReplayArguments),
    /// Show how many connections the apps of a manifest could hold at most in each database.
    #[command(
        after_help = "It reads the manifest only, no cluster. Sessions of others are not known to it.\nExit codes: 0 they fit or no limit is known, 1 they do not fit, 3 the file cannot be read or has no ScalableApp."
    )]
    Lint(LintArguments),
}

const OVERRIDE_HELP: &str = "\
The override affects the number of replicas only: rollouts and the repair of children continue.
Of several overrides and the app's own bounds the highest minimum and the lowest maximum count. Where the minimum is \
above the maximum, the maximum wins. No override exceeds maxReplicas.
It replaces an earlier one of the same kind (--hold, or bounds) of the same app or component.
It ends after --for, or with: kubectl scalableapp resume NAME";

const PAUSE_HELP: &str = "\
While the app is paused, the operator writes none of its children: it changes no replicas, starts and continues no \
rollout, reverts no edit by hand, creates and deletes no object. It still updates the status. Pods keep running, and \
Kubernetes replaces those that end.
The pause concerns the whole app. It ends after --for, or with: kubectl scalableapp resume NAME
Then a change of the ScalableApp is applied, edits by hand are reverted, and scaling continues. The first scale-in waits \
for one full stabilization window.";

const RESUME_HELP: &str = "\
It deletes the overrides of all components, those of other people and pipelines, and those that have expired. To end one \
only: kubectl delete scalingoverride NAME";

/// The arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// The file that the operator wrote with --decision-records, or its log; `-` is standard input.
    pub file: PathBuf,
}

/// The arguments of `lint`.
#[derive(Debug, Args)]
pub struct LintArguments {
    /// The manifest, as YAML or JSON; `-` is standard input.
    #[arg(short, long)]
    pub filename: PathBuf,
    /// max_connections of the server, instead of maxConnections.limit of each database.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=262_143))]
    pub max_connections: Option<i32>,
}

/// The duration, author and reason of an override.
#[derive(Debug, Args)]
pub struct ActArguments {
    /// Duration of the override (30m, 2h). It then ends by itself.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub duration: Duration,
    /// Reason, for those who see the override.
    #[arg(long)]
    pub reason: String,
    /// Author; by default the user name that the API server reports.
    #[arg(long)]
    pub by: Option<String>,
}

/// The arguments of `override`.
#[derive(Debug, Args)]
pub struct OverrideArguments {
    /// The app.
    pub name: String,
    /// The component; by default every component of the app.
    #[arg(long)]
    pub component: Option<String>,
    /// The values instead of the app's own.
    #[command(flatten)]
    pub what: OverrideWhat,
    /// Duration, author and reason.
    #[command(flatten)]
    pub act: ActArguments,
}

/// The kind of an override.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct OverrideWhat {
    /// Keep the current replicas, whatever the metrics say. minReplicas, maxReplicas, schedules and other overrides
    /// still apply.
    #[arg(long, conflicts_with_all = ["min", "max", "exact"])]
    pub hold: bool,
    /// Minimum replicas. A number below minReplicas changes nothing.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub min: Option<i32>,
    /// Maximum replicas, at once and whatever the metrics say. It may be below minReplicas; a number above maxReplicas changes nothing.
    /// 0 is for components whose minReplicas is 0.
    #[arg(long, value_parser = clap::value_parser!(i32).range(0..=10_000))]
    pub max: Option<i32>,
    /// Minimum and maximum replicas in one number, as --min and --max.
    #[arg(long, conflicts_with_all = ["min", "max"], value_parser = clap::value_parser!(i32).range(0..=10_000))]
    pub exact: Option<i32>,
}

/// The arguments of `pause`.
#[derive(Debug, Args)]
pub struct PauseArguments {
    /// The app.
    pub name: String,
    /// Duration, author and reason.
    #[command(flatten)]
    pub act: ActArguments,
}

/// The arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArguments {
    /// The app.
    pub name: String,
}

/// The arguments of `rollout`.
#[derive(Debug, Args)]
pub struct RolloutArguments {
    /// The command.
    #[command(subcommand)]
    pub command: RolloutCommand,
}

/// The commands on rollouts.
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Show rollouts: step, weight asked and realised, evidence so far, when a verdict is expected, and why it holds.
    #[command(after_help = ROLLOUT_STATUS_HELP)]
    Status(RolloutStatusArguments),
    /// Have the new revision begin its next step now, whatever the evidence. After the last step it is the stable one.
    #[command(after_help = ONCE_HELP)]
    Promote(RolloutPromoteArguments),
    /// Give all requests back to the stable revision. The new one is not tried again until that is asked for.
    #[command(after_help = ONCE_HELP)]
    Abort(RolloutAct),
    /// Try an aborted revision again, from the first step on.
    #[command(after_help = ONCE_HELP)]
    Retry(RolloutAct),
    /// Keep new revisions at their step until a time. A canary is still aborted if it is worse, and replicas still scale.
    #[command(after_help = ROLLOUT_HOLD_HELP)]
    Hold(RolloutHoldArguments),
}

const ROLLOUT_STATUS_HELP: &str = "\
With --watch it is shown until no rollout is in progress.
Exit codes: 0 no new revision was aborted, 1 one was, 2 the time-out passed first, 3 the command line or the connection is wrong.";

const ONCE_HELP: &str = "\
The act is a ScalingOverride, and counts once. It counts even if there is nothing to act upon: kubectl scalableapp rollout \
status shows what became of it. It replaces an earlier act of the same kind on the same component.";

const ROLLOUT_HOLD_HELP: &str = "\
A promote passes a hold. It ends after --for, or with: kubectl scalableapp resume NAME";

/// The arguments of `rollout status`.
#[derive(Debug, Args)]
pub struct RolloutStatusArguments {
    /// The app.
    pub name: String,
    /// The component; by default every component with a canary or a blue-green rollout.
    pub component: Option<String>,
    /// Keep showing it until no rollout is in progress.
    #[arg(short, long)]
    pub watch: bool,
    /// Watch at most for this time (90s, 10m, 1h).
    #[arg(long, requires = "watch", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Format of the output; with --watch, json is one line for each update.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// The arguments of an act that counts once.
#[derive(Debug, Args)]
pub struct RolloutAct {
    /// The app.
    pub name: String,
    /// The component.
    pub component: String,
    /// Time in which the operator may act. Then the act is without effect.
    #[arg(long = "for", value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub duration: Duration,
    /// Reason, for those who see the rollout.
    #[arg(long)]
    pub reason: String,
    /// Author; by default the user name that the API server reports.
    #[arg(long)]
    pub by: Option<String>,
}

/// The arguments of `rollout promote`.
#[derive(Debug, Args)]
pub struct RolloutPromoteArguments {
    /// Target, author and reason.
    #[command(flatten)]
    pub act: RolloutAct,
    /// All steps of a canary at once.
    #[arg(long)]
    pub full: bool,
}

/// The arguments of `rollout hold`.
#[derive(Debug, Args)]
pub struct RolloutHoldArguments {
    /// The app.
    pub name: String,
    /// The component; by default every component of the app.
    pub component: Option<String>,
    /// Duration, author and reason.
    #[command(flatten)]
    pub act: ActArguments,
}

const CLUSTER: &str = "Cluster";

/// The cluster and the namespace. As with kubectl they may stand before the command.
#[derive(Debug, Default, Args)]
pub struct ConnectionArguments {
    /// The app's namespace; by default that of the kubeconfig.
    #[arg(short, long, global = true, help_heading = CLUSTER)]
    pub namespace: Option<String>,
    /// The kubeconfig file; by default $KUBECONFIG, ~/.kube/config, or in a pod its service account.
    #[arg(long, global = true, help_heading = CLUSTER)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; by default its current one.
    #[arg(long, global = true, help_heading = CLUSTER)]
    pub context: Option<String>,
}

/// The arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The app.
    pub name: String,
    /// The component; by default every component of the app.
    pub component: Option<String>,
    /// Format of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

const DIAGNOSE_HELP: &str = "\
Numbers are those when the diagnosis began; NOW has the last ones. The queries give the same numbers in Prometheus.
The JSON of -o json is described by docs/diagnosis.schema.json.";

/// The arguments of `diagnose`.
#[derive(Debug, Args)]
pub struct DiagnoseArguments {
    /// The app.
    pub name: String,
    /// Format of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

const STATUS_HELP: &str = "\
An app is stalled (condition Stalled=True) when it needs a change by somebody: at once for an invalid spec, for example, \
and after ten minutes for a rollout whose new pods do not become ready. Everything else is waited for, also an image that \
cannot be pulled: it may be there later.
Exit codes: 0 every app is ready, 1 an app is not ready or is stalled, 2 the time-out passed first, 3 the command line or \
the connection is wrong.";

/// The arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// The app; by default every app of the namespace.
    pub name: Option<String>,
    /// Every app of every namespace in common tables, without metrics and last decisions. --namespace is ignored.
    #[arg(short = 'A', long, conflicts_with = "name")]
    pub all_namespaces: bool,
    /// Keep showing the status: in place on a terminal, otherwise a line for each change.
    #[arg(short, long)]
    pub watch: bool,
    /// Watch until every app is ready or one is stalled, at most for this time (90s, 10m, 1h). What was waited for is
    /// written to standard error.
    #[arg(long, requires = "watch", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Format of the output; with --watch, json is one line for each update.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Format of the output.
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
    fn flags_of_the_connection_may_stand_before_the_command_and_after_it() {
        for line in [
            "x -n shop --context c --kubeconfig k status",
            "x status -n shop --context c --kubeconfig k",
            "x --namespace shop --context=c status --kubeconfig k web",
            "x -n shop --context c --kubeconfig k resume web",
            "x -n shop --context c --kubeconfig k replay -",
        ] {
            let ConnectionArguments { namespace, kubeconfig, context } = parse(line).unwrap().connection;
            let found = (namespace.as_deref(), kubeconfig, context.as_deref());
            assert_eq!(found, (Some("shop"), Some("k".into()), Some("c")), "{line}");
        }
    }

    #[test]
    fn an_app_is_not_looked_for_by_name_in_every_namespace() {
        assert!(parse("x status -A").is_ok() && parse("x status --all-namespaces -n shop").is_ok());
        assert!(parse("x status shop -A").is_err());
        assert!(parse("x resume shop -A").is_err(), "one act is upon one app");
    }

    #[test]
    fn an_act_on_a_rollout_names_the_component_and_the_reason() {
        let command = parse("x rollout promote shop web --full --reason known").unwrap().command;
        let Command::Rollout(RolloutArguments { command: RolloutCommand::Promote(promote) }) = command else {
            panic!("{command:?}")
        };
        assert!(promote.full && promote.act.duration == Duration::from_secs(300));
        for act in ["promote", "abort", "retry"] {
            assert!(parse(&format!("x rollout {act} shop web --reason known --for 1m")).is_ok(), "{act}");
            assert!(
                parse(&format!("x rollout {act} shop --reason known")).is_err(),
                "{act} of every component"
            );
            assert!(parse(&format!("x rollout {act} shop web")).is_err(), "{act} without a reason");
        }
        assert!(parse("x rollout hold shop --reason known --for 1h").is_ok());
        assert!(parse("x rollout hold shop web --reason known").is_err(), "a hold has an end");
    }

    #[test]
    fn a_timeout_without_watch_is_refused() {
        let error = parse("x status --timeout 10m").unwrap_err().to_string();
        assert!(error.contains("--watch"), "{error}");
    }
}
