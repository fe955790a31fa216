//! `kubectl scalableapp status`: looks once, or until its end has come. I/O.

use std::io::{self, Write};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use kube::ResourceExt;
use thiserror::Error;
use tokio::time::{Instant, sleep, sleep_until};

use crate::args::{Output, StatusArguments};
use crate::cluster::{self, Cluster};
use crate::live;
use crate::printable;
use crate::screen::{Screen, columns};
use crate::status::{AppStatus, Health};
use crate::view;

/// The operator measures every 5 s; looking twice as often shows replicas that become ready in between.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// How it ended; the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every app is ready.
    Ready = 0,
    /// An app is not.
    NotReady = 1,
    /// The time-out passed first.
    TimedOut = 2,
}

/// Why the status could not be shown.
#[derive(Debug, Error)]
pub enum Error {
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The output could not be written.
    #[error("failed to write the status: {0}")]
    Output(#[from] io::Error),
}

/// The apps that are looked at, and where.
pub struct Target {
    /// The cluster.
    pub cluster: Cluster,
    /// The apps' namespace.
    pub namespace: String,
    /// The app; nothing for every app of the namespace.
    pub name: Option<String>,
}

impl Target {
    /// Reads the apps and their live measurements.
    ///
    /// # Errors
    /// When the apps cannot be read. Measurements that cannot be had become a note of the app.
    pub async fn look(&self) -> Result<Vec<AppStatus>, cluster::Error> {
        let apps = self.cluster.apps(&self.namespace, self.name.as_deref()).await?;
        // A cluster whose overrides cannot be read still has apps to show.
        let overrides = self.cluster.overrides(&self.namespace).await.unwrap_or_default();
        let now = Timestamp::now();
        let statuses = apps.iter().map(|app| async {
            let live = live::measurements(&self.cluster.client, &self.namespace, &app.name_any()).await;
            AppStatus::new(app, &live).with_overrides(&overrides, now)
        });
        Ok(join_all(statuses).await)
    }
}

/// Shows the status as the command line asks for it.
///
/// # Errors
/// When the cluster cannot be asked; once a watch has begun, only for what waiting cannot help.
pub async fn run(arguments: StatusArguments) -> Result<Outcome, Error> {
    let (cluster, namespace) = Cluster::of(arguments.connection).await?;
    let target = Target { cluster, namespace, name: arguments.name };
    if arguments.watch {
        return watch(&target, arguments.output, arguments.timeout).await;
    }
    let apps = target.look().await?;
    let text = match arguments.output {
        Output::Table => view::render(&apps, columns()),
        Output::Json => {
            printable::json(&serde_json::to_string_pretty(&apps).map_err(io::Error::from)?) + "\n"
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(outcome(&apps))
}

async fn watch(target: &Target, output: Output, timeout: Option<Duration>) -> Result<Outcome, Error> {
    let end = timeout.map(|timeout| Instant::now() + timeout);
    let mut screen = Screen::stdout(output);
    let mut apps = target.look().await?;
    loop {
        screen.show(apps.clone(), Timestamp::now())?;
        if end.is_some() && settled(&apps) {
            return Ok(outcome(&apps));
        }
        tokio::select! {
            () = passed(end) => return Ok(Outcome::TimedOut),
            () = sleep(BETWEEN_LOOKS) => {}
        }
        match target.look().await {
            Ok(looked) => apps = looked,
            Err(error) if error.is_passing() => {
                for app in &mut apps {
                    app.not_current(&error.to_string());
                }
            }
            Err(error) => return Err(error.into()),
        }
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

/// Nothing more is to be waited for: every app is ready, or one needs help.
fn settled(apps: &[AppStatus]) -> bool {
    outcome(apps) == Outcome::Ready || apps.iter().any(|app| app.health == Health::Stalled)
}
