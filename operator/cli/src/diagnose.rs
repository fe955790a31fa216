//! `kubectl scalableapp diagnose`: what is wrong with an app, by which numbers, and what to do. I/O: reads the app and its
//! live diagnosis, writes to stdout.

use std::io::{self, Write};

use kube::ResourceExt;
use scalableapp_crds::{LiveDiagnosis, LiveEvidence, LiveHeadroom, ScalableApp};
use scalableapp_engine::diagnose::verdict::rounded;
use scalableapp_engine::reason;
use thiserror::Error;

use crate::args::{ConnectionArguments, DiagnoseArguments, Output};
use crate::cluster::{self, Cluster};
use crate::live;
use crate::printable::{self, printable};
use crate::screen::columns;
use crate::view::{broken, missing, table, time};

/// Why an app could not be diagnosed.
#[derive(Debug, Error)]
pub enum DiagnoseError {
    /// The cluster could not be read.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// The operator says nothing, and neither does the status.
    #[error("failed to diagnose {app}: {why}")]
    Unknown {
        /// The app.
        app: String,
        /// The reason.
        why: String,
    },
    /// The output could not be written.
    #[error("failed to write the diagnosis: {0}")]
    Output(#[from] io::Error),
}

/// Diagnoses an app.
///
/// # Errors
/// When the app cannot be read, or nothing is known of its diagnosis.
pub async fn run(arguments: DiagnoseArguments, connection: ConnectionArguments) -> Result<(), DiagnoseError> {
    let (cluster, namespace) = Cluster::of(connection).await?;
    let app = cluster.app(&namespace, &arguments.name).await?;
    let live = live::measurements(&cluster.client, &namespace, &arguments.name).await;
    let (diagnosis, note) = match live {
        Ok(live) => {
            (live.diagnosis, "the operator is of an earlier version and diagnoses nothing".to_owned())
        }
        Err(unavailable) => (None, unavailable.to_string()),
    };
    let (diagnosis, note) = match diagnosis {
        Some(diagnosis) => (diagnosis, None),
        None => (of_status(&app, &note)?, Some(note)),
    };
    let text = match arguments.output {
        Output::Table => render(&app.name_any(), &diagnosis, note.as_deref(), columns()),
        Output::Json => {
            printable::json(&serde_json::to_string_pretty(&diagnosis).map_err(io::Error::from)?) + "\n"
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// What the status says, without numbers.
fn of_status(app: &ScalableApp, note: &str) -> Result<LiveDiagnosis, DiagnoseError> {
    let said = app.status.as_ref().and_then(|status| status.bottleneck.as_ref());
    // Without a bottleneck the app may be healthy, or not judged yet.
    let said = said.ok_or_else(|| DiagnoseError::Unknown {
        app: app.name_any(),
        why: format!("its status names no bottleneck, and {note}"),
    })?;
    Ok(LiveDiagnosis {
        verdict: said.cause.clone(),
        component: said.component.clone(),
        message: said.message.clone(),
        advice: said.advice.clone(),
        since: Some(said.since.0),
        ..LiveDiagnosis::default()
    })
}

fn render(app: &str, diagnosis: &LiveDiagnosis, note: Option<&str>, columns: usize) -> String {
    let LiveDiagnosis { verdict, component, message, since, confidence, evidence, held, headroom, .. } =
        diagnosis;
    let place = if component.is_empty() { String::new() } else { format!(" of {}", printable(component)) };
    let mut head = format!("{}: {}{place}", printable(app), printable(verdict));
    if let Some(since) = since {
        head = format!("{head}, since {}", time(*since));
    }
    if let Some(confidence) = confidence {
        head = format!("{head}, confidence {:.0} %", 100.0 * confidence);
    }
    let mut blocks = vec![format!("{head}\n{}\n", broken(message, columns).join("\n"))];
    if verdict == reason::HISTORY_TOO_SHORT.name || verdict == reason::HEALTHY.name {
        blocks.push(format!("{}\n", broken(&diagnosis.step, columns).join("\n")));
    }
    blocks.push(table(["MEASURE", "OF", "NORMAL", "AT BEGIN", "NOW"], evidence.iter().map(numbers), columns));
    let queries = evidence.iter().filter_map(|one| Some([one.measure.clone(), one.query.clone()?]));
    blocks.push(table(["MEASURE", "QUERY"], queries, columns));
    blocks.push(table(["COMPONENT", "FREE", "USED UP AT"], headroom.iter().map(free), columns));
    if !held.is_empty() {
        let held = format!("No replica is added because requests wait: {}.", held.join(", "));
        blocks.push(broken(&held, columns).join("\n") + "\n");
    }
    if let Some(note) = note {
        blocks.push(broken(note, columns).join("\n") + "\n");
    }
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

fn numbers(one: &LiveEvidence) -> [String; 5] {
    let LiveEvidence { component, measure, normal, at_begin, now, .. } = one;
    let now = now.map_or_else(missing, rounded);
    [measure.clone(), component.clone(), rounded(*normal), rounded(*at_begin), now]
}

fn free(one: &LiveHeadroom) -> [String; 3] {
    let until = one.until.map_or_else(missing, time);
    [one.component.clone(), format!("{:.0} % of maxReplicas", 100.0 * one.free_share), until]
}
