//! `kubectl scalableapp explain`: the last decision of a component, stage by stage. I/O: reads the app, writes to stdout.

use std::collections::BTreeMap;
use std::io::{self, Write};

use kube::ResourceExt;
use scalableapp_crds::{
    ComponentStatus, ConditionStatus, DecisionRecord, Proposal, ScalableApp, condition_type,
};
use thiserror::Error;

use crate::args::{ConnectionArguments, ExplainArguments, Output};
use crate::cluster::{self, Cluster};
use crate::printable::{self, printable};
use crate::screen::columns;
use crate::status::holding;
use crate::view::{broken, missing, table, time};

/// Why a decision could not be explained.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// The cluster could not be read.
    #[error(transparent)]
    Cluster(#[from] cluster::ClusterError),
    /// There is no component of that name.
    #[error("failed to find component {component} of {app}: its components are {}", existing.join(", "))]
    NotFound {
        /// The requested name.
        component: String,
        /// The app.
        app: String,
        /// The existing components.
        existing: Vec<String>,
    },
    /// There is no component at all.
    #[error("failed to explain {app}: {why}")]
    NoComponents {
        /// The app.
        app: String,
        /// The reason.
        why: String,
    },
    /// The output could not be written.
    #[error("failed to write the explanation: {0}")]
    Output(#[from] io::Error),
}

/// Explains the decisions of the given app or component.
///
/// # Errors
/// When the app cannot be read, or has no such component, or none yet.
pub async fn run(arguments: ExplainArguments, connection: ConnectionArguments) -> Result<(), ExplainError> {
    let (cluster, namespace) = Cluster::of(connection).await?;
    let app = cluster.app(&namespace, &arguments.name).await?;
    let components = components(&app, arguments.component.as_deref())?;
    let text = match arguments.output {
        Output::Table => render(&app, &components, columns()),
        Output::Json => json(&components)?,
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn components<'a>(
    app: &'a ScalableApp,
    asked: Option<&str>,
) -> Result<Vec<&'a ComponentStatus>, ExplainError> {
    let all = app.status.as_ref().map(|status| status.components.as_slice()).unwrap_or_default();
    if all.is_empty() {
        let mut conditions = app.status.iter().flat_map(|status| &status.conditions);
        let unready = || conditions.find(|one| one.type_ == condition_type::READY);
        let said = holding(app, condition_type::STALLED).or_else(unready);
        let unseen = || "the operator has not seen it yet, check that it is running".to_owned();
        let why = said.map_or_else(unseen, |condition| condition.message.clone());
        return Err(ExplainError::NoComponents { app: app.name_any(), why });
    }
    let found: Vec<_> = all.iter().filter(|one| asked.is_none_or(|name| name == one.name)).collect();
    match asked {
        Some(component) if found.is_empty() => Err(ExplainError::NotFound {
            component: component.to_owned(),
            app: app.name_any(),
            existing: all.iter().map(|component| component.name.clone()).collect(),
        }),
        _ => Ok(found),
    }
}

fn json(components: &[&ComponentStatus]) -> io::Result<String> {
    let decisions: BTreeMap<&str, &Option<DecisionRecord>> =
        components.iter().map(|component| (component.name.as_str(), &component.last_decision)).collect();
    Ok(printable::json(&serde_json::to_string_pretty(&decisions)?) + "\n")
}

fn render(app: &ScalableApp, components: &[&ComponentStatus], columns: usize) -> String {
    let explained = components.iter().map(|component| {
        let name = printable(&format!("{}/{}", app.name_any(), component.name));
        let unavailable = NoMeasurement::of(app, &component.name);
        match &component.last_decision {
            None => {
                format!("{name}: no decision yet\n")
                    + &unavailable.map_or_else(String::new, |it| it.line(columns))
            }
            Some(decision) => {
                explanation(&name, decision, unavailable, columns) + &time_to_useful(component, columns)
            }
        }
    });
    explained.collect::<Vec<_>>().join("\n")
}

/// How long a read replica takes, if that is known.
fn time_to_useful(component: &ComponentStatus, columns: usize) -> String {
    let known = component.memory.as_ref().and_then(|memory| memory.seconds_to_useful);
    known.map_or_else(String::new, |seconds| {
        let sentence = format!("A replica is useful about {seconds} s after it was asked for.");
        format!("\n{}\n", broken(&sentence, columns).join("\n"))
    })
}

/// The part of the condition `MetricsAvailable` on a component while it is not true.
#[derive(Clone, Copy)]
struct NoMeasurement<'a> {
    status: ConditionStatus,
    /// The message without the component's name; it begins with the metric's name if it concerns one.
    message: &'a str,
}

impl<'a> NoMeasurement<'a> {
    fn of(app: &'a ScalableApp, component: &str) -> Option<Self> {
        let mut conditions = app.status.iter().flat_map(|status| &status.conditions);
        let condition = conditions.find(|one| one.type_ == condition_type::METRICS_AVAILABLE)?;
        let message = condition.message.strip_prefix(component)?.strip_prefix(": ")?;
        let status = condition.status;
        (status != ConditionStatus::True).then_some(Self { status, message })
    }

    /// Why a metric is missing, if the condition reports that.
    fn cause_of(self, metric: &str) -> Option<String> {
        let cause = self.message.strip_prefix(metric)?.strip_prefix(": ")?;
        Some(self.sentence(cause))
    }

    fn line(self, columns: usize) -> String {
        broken(&self.sentence(self.message), columns).join("\n") + "\n"
    }

    fn sentence(self, message: &str) -> String {
        format!("{} is {:?}: {message}", condition_type::METRICS_AVAILABLE, self.status)
    }
}

fn explanation(
    name: &str,
    decision: &DecisionRecord,
    unavailable: Option<NoMeasurement<'_>>,
    columns: usize,
) -> String {
    let DecisionRecord { time: at, from, to, reason, message, proposals, stages } = decision;
    let cause_of = |one: &Proposal| unavailable.and_then(|it| it.cause_of(&one.metric));
    // The condition is current, and the decision may be older.
    let elsewhere = unavailable.filter(|_| !proposals.iter().any(|one| cause_of(one).is_some()));
    let metrics = proposals.iter().map(|one| {
        let asks = one.replicas.map_or_else(missing, |replicas| replicas.to_string());
        let doubt = if one.reason.is_empty() { String::new() } else { format!(" ({})", one.reason) };
        let cause = cause_of(one).map_or_else(String::new, |cause| format!("; {cause}"));
        [one.metric.clone(), asks, one.target.clone(), format!("{}{doubt}{cause}", one.value)]
    });
    let stages = stages.iter().map(|stage| [stage.name.clone(), stage.effect.clone()]);
    let mut blocks = vec![
        format!(
            "{name}: {from} -> {to}, {}, decided at {}\n{}\n",
            printable(reason),
            time(at.0),
            printable(message)
        ),
        table(["METRIC", "ASKS FOR", "TARGET", "VALUE"], metrics, columns),
        elsewhere.map_or_else(String::new, |it| it.line(columns)),
        table(["STAGE", "EFFECT"], stages, columns),
    ];
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}
