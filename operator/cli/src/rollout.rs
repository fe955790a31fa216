//! `kubectl scalableapp rollout`: shows the rollouts of an app, or acts on one. I/O: reads the cluster, writes to stdout.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::acts::{self, ActError};
use crate::args::{ConnectionArguments, Output, RolloutArguments, RolloutCommand, RolloutStatusArguments};
use crate::cluster::{self, ANSWER_TIMEOUT, Cluster};
use crate::live;
use crate::printable;
use crate::rollout_view::{ComponentRollout, Images, render};
use crate::screen::{columns, redraw, terminal};
use crate::watch::Outcome;

/// Time between two looks of a watch.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// Labels of a Deployment.
const APP: &str = "scalableapp.dev/app";
const COMPONENT: &str = "scalableapp.dev/component";
const REVISION: &str = "scalableapp.dev/revision";

/// Why a command on rollouts failed.
#[derive(Debug, Error)]
pub enum RolloutError {
    /// The cluster could not be read.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// The act failed.
    #[error(transparent)]
    Act(#[from] ActError),
    /// There is no such component with a canary or a blue-green rollout.
    #[error(
        "failed to find a rollout of {target}: the services with rollout.canary or rollout.blueGreen are: {existing}"
    )]
    NoRollout {
        /// The component, or the app.
        target: String,
        /// The services that declare one.
        existing: String,
    },
    /// The output could not be written.
    #[error("failed to write the rollouts: {0}")]
    Output(#[from] io::Error),
}

/// Runs the command, and returns its outcome.
///
/// # Errors
/// When the cluster cannot be read, or it has no such canary, or the API server refuses an act.
pub async fn run(
    arguments: RolloutArguments,
    connection: ConnectionArguments,
) -> Result<Outcome, RolloutError> {
    match arguments.command {
        RolloutCommand::Status(arguments) => return status(arguments, connection).await,
        RolloutCommand::Promote(arguments) => acts::promote(arguments, connection).await?,
        RolloutCommand::Abort(arguments) => acts::abort(arguments, connection).await?,
        RolloutCommand::Retry(arguments) => acts::retry(arguments, connection).await?,
        RolloutCommand::Hold(arguments) => acts::hold_rollout(arguments, connection).await?,
    }
    Ok(Outcome::Ready)
}

async fn status(
    arguments: RolloutStatusArguments,
    connection: ConnectionArguments,
) -> Result<Outcome, RolloutError> {
    let RolloutStatusArguments { name, component, watch, timeout, output } = arguments;
    let (cluster, namespace) = Cluster::of(connection).await?;
    let look = async || look(&cluster, &namespace, &name, component.as_deref()).await;
    // A time beyond the clock's range is never reached.
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut shown = Shown::new(output, watch);
    let mut rollouts = look().await?;
    loop {
        shown.show(&rollouts)?;
        if !watch || !rollouts.iter().any(ComponentRollout::is_open) {
            return Ok(outcome(&rollouts));
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            return Ok(Outcome::TimedOut);
        }
        sleep(BETWEEN_LOOKS).await;
        match look().await {
            Ok(looked) => rollouts = looked,
            Err(RolloutError::Cluster(error)) if error.is_passing() => {
                let why = format!("The state is that of the last successful read: {error}.");
                rollouts.iter_mut().for_each(|one| one.notes = vec![why.clone()]);
            }
            Err(error) => return Err(error),
        }
    }
}

fn outcome(rollouts: &[ComponentRollout]) -> Outcome {
    if rollouts.iter().any(ComponentRollout::is_aborted) { Outcome::NotReady } else { Outcome::Ready }
}

async fn look(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    component: Option<&str>,
) -> Result<Vec<ComponentRollout>, RolloutError> {
    let app = cluster.app(namespace, name).await?;
    let live = live::measurements(&cluster.client, namespace, name).await;
    // Without overrides and images the rollouts can still be shown.
    let overrides = cluster.overrides(namespace).await.unwrap_or_default();
    let images = images(cluster, namespace, name).await;
    let all = ComponentRollout::all(&app, component, &live, &images, &overrides, Timestamp::now());
    if all.is_empty() {
        let services = app.spec.services.iter().filter(|one| one.rolls_out_in_steps());
        let existing: Vec<&str> = services.map(|one| one.name.as_str()).collect();
        let existing = if existing.is_empty() { "none".to_owned() } else { existing.join(", ") };
        return Err(RolloutError::NoRollout { target: component.unwrap_or(name).to_owned(), existing });
    }
    Ok(all)
}

/// The images of the revisions; empty where the Deployments cannot be read.
async fn images(cluster: &Cluster, namespace: &str, app: &str) -> Images {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    let of_app = ListParams::default().labels(&format!("{APP}={app}"));
    let Ok(Ok(deployments)) = tokio::time::timeout(ANSWER_TIMEOUT, api.list(&of_app)).await else {
        return Images::new();
    };
    let image = |one: Deployment| {
        let label = |name| one.labels().get(name).cloned();
        let (component, revision) = (label(COMPONENT)?, label(REVISION)?);
        let pod = one.spec?.template.spec?;
        let image = pod.containers.into_iter().find(|container| container.name == component)?.image?;
        Some(((component, revision), image))
    };
    deployments.items.into_iter().filter_map(image).collect()
}

/// What was shown: a watch on a terminal draws over it, and one in a pipe repeats only what is new.
struct Shown {
    output: Output,
    in_place: bool,
    watched: bool,
    lines: u16,
    last: String,
}

impl Shown {
    fn new(output: Output, watched: bool) -> Self {
        let in_place = watched && output == Output::Table && io::stdout().is_terminal();
        Self { output, in_place, watched, lines: 0, last: String::new() }
    }

    fn show(&mut self, rollouts: &[ComponentRollout]) -> io::Result<()> {
        let mut out = io::stdout();
        let text = match self.output {
            Output::Table => render(rollouts, columns()),
            Output::Json if self.watched => printable::json(&serde_json::to_string(rollouts)?) + "\n",
            Output::Json => printable::json(&serde_json::to_string_pretty(rollouts)?) + "\n",
        };
        if self.in_place {
            self.lines = redraw(&mut out, self.lines, terminal().1, &text)?;
        } else if text != self.last {
            out.write_all(text.as_bytes())?;
            self.last = text;
        }
        out.flush()
    }
}
