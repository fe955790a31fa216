//! `kubectl scalableapp status`: reads once, or until its end. I/O.

use std::io::{self, Write};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use kube::ResourceExt;
use scalableapp_crds::Guarded;
use thiserror::Error;
use tokio::time::{Instant, sleep, sleep_until};

use crate::args::{ConnectionArguments, Output, StatusArguments};
use crate::cluster::{self, ALL_NAMESPACES, Cluster};
use crate::live;
use crate::overview;
use crate::printable;
use crate::screen::{Screen, columns};
use crate::status::{AppStatus, Health};
use crate::view;

/// The operator measures every 5 s; this shorter interval shows replicas that become ready in between.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
/// The API server's fair queuing refuses a thousand simultaneous requests of one client.
const MEASUREMENTS_IN_FLIGHT: usize = 16;

/// The result; the process' exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every app is ready.
    Ready = 0,
    /// An app is not ready.
    NotReady = 1,
    /// The time-out passed first.
    TimedOut = 2,
}

/// Why the status could not be shown.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The cluster could not be read.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// The output could not be written.
    #[error("failed to write the status: {0}")]
    Output(#[from] io::Error),
}

/// The requested apps.
pub struct Target {
    /// The cluster.
    pub cluster: Cluster,
    /// The apps' namespace, or [`ALL_NAMESPACES`].
    pub namespace: String,
    /// The app; `None` for every app of the namespace.
    pub name: Option<String>,
}

impl Target {
    /// Reads the apps and their live measurements.
    ///
    /// # Errors
    /// When the apps cannot be read. Missing measurements become a note of the app, and so does an unreadable app among
    /// several.
    pub async fn look(&self) -> Result<Vec<AppStatus>, cluster::ClusterError> {
        let apps = match &self.name {
            Some(name) => vec![Guarded(Ok(self.cluster.app(&self.namespace, name).await?))],
            None => self.cluster.apps(&self.namespace).await?,
        };
        // Without overrides the apps can still be shown.
        let overrides = self.cluster.overrides(&self.namespace).await.unwrap_or_default();
        let now = Timestamp::now();
        let statuses = apps.iter().map(|app| async {
            let app = match &app.0 {
                Ok(app) => app,
                Err(unreadable) => return AppStatus::unreadable(unreadable),
            };
            let namespace = app.namespace().unwrap_or_default();
            let live = live::measurements(&self.cluster.client, &namespace, &app.name_any()).await;
            AppStatus::new(app, &live).with_overrides(&overrides, now)
        });
        Ok(stream::iter(statuses).buffered(MEASUREMENTS_IN_FLIGHT).collect().await)
    }
}

/// Shows the status for a command line.
///
/// # Errors
/// When the cluster cannot be read; during a watch only for errors that a retry cannot help.
pub async fn run(arguments: StatusArguments, connection: ConnectionArguments) -> Result<Outcome, WatchError> {
    let StatusArguments { name, all_namespaces, watch: watched, timeout, output } = arguments;
    let (cluster, namespace) = Cluster::of(connection).await?;
    let namespace = if all_namespaces { ALL_NAMESPACES.to_owned() } else { namespace };
    let layout = if all_namespaces { overview::render } else { view::render };
    let target = Target { cluster, namespace, name };
    if watched {
        return watch(&target, Screen::stdout(output).with_layout(layout), timeout).await;
    }
    let apps = target.look().await?;
    let text = match output {
        Output::Table => layout(&apps, columns()),
        Output::Json => {
            printable::json(&serde_json::to_string_pretty(&apps).map_err(io::Error::from)?) + "\n"
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(outcome(&apps))
}

async fn watch(
    target: &Target,
    mut screen: Screen<io::Stdout>,
    timeout: Option<Duration>,
) -> Result<Outcome, WatchError> {
    // A time beyond the clock's range is never reached.
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut apps = Vec::new();
    loop {
        let looked = tokio::select! {
            looked = target.look() => looked,
            () = passed(end) => return Ok(timed_out(&apps)),
        };
        match looked {
            Ok(looked) => apps = looked,
            Err(error) if error.is_passing() && !apps.is_empty() => {
                apps.iter_mut().for_each(|app| app.not_current(&error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
        screen.show(apps.clone(), Timestamp::now())?;
        if timeout.is_some() && settled(&apps) {
            tell(apps.iter().filter(|app| app.health == Health::Stalled).map(view::obstacle));
            return Ok(outcome(&apps));
        }
        tokio::select! {
            () = passed(end) => return Ok(timed_out(&apps)),
            () = sleep(BETWEEN_LOOKS) => {}
        }
    }
}

fn timed_out(apps: &[AppStatus]) -> Outcome {
    let waited_for = apps.iter().filter(|app| app.health != Health::Ready).map(view::obstacle);
    let silent = apps.is_empty().then(|| "the API server has not answered".to_owned());
    tell(waited_for.chain(silent).map(|what| format!("timed out: {what}")));
    Outcome::TimedOut
}

/// Why a watch ends without every app being ready, where the output does not show it.
fn tell(sentences: impl Iterator<Item = String>) {
    for sentence in sentences {
        // If the message has no reader, the exit code still reports it.
        let _ = writeln!(io::stderr(), "error: {}", printable::printable(&sentence));
    }
}

async fn passed(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

fn outcome(apps: &[AppStatus]) -> Outcome {
    if apps.iter().all(|app| app.health == Health::Ready) { Outcome::Ready } else { Outcome::NotReady }
}

/// The watch can end: every app is ready, or one is stalled.
fn settled(apps: &[AppStatus]) -> bool {
    outcome(apps) == Outcome::Ready || apps.iter().any(|app| app.health == Health::Stalled)
}
