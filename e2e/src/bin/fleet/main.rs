//! `fleet`: the cost of many apps and the speed of their scaling, without and with a fault. Prints figures and checks
//! none. Each run has its own hollow cluster.

mod faults;
mod table;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use scalableapp_cluster::Nodes;
use scalableapp_cluster::chart;
use scalableapp_cluster::tools::Tools;
use scalableapp_e2e::fleet::{AT_REST, Arm, Fleet, PER_REPLICA};
use scalableapp_e2e::interrupt::until_ended;
use tokio::time::sleep;

use table::Measured;

/// Apps whose reaction is measured.
const REACTING: usize = 50;
/// The time span of their changes.
const SPREAD: Duration = Duration::from_secs(30);
/// The replicas after a change.
const WANTED: i32 = 10;
/// Until the API server's caches and the windows of the scaling have settled.
const SETTLE: Duration = Duration::from_secs(20);
/// Until the API server is as idle as without the operator: after many changes it continues to work for minutes.
const CALM: Duration = Duration::from_secs(180);

/// Many ScalableApps on a hollow cluster.
#[derive(Parser)]
struct Arguments {
    /// Name of the cluster: several fleets may run side by side, so that noise of the machine is the same for each.
    #[arg(long, default_value = "fleet")]
    name: String,
    /// Number of apps.
    #[arg(long, default_value_t = 1000)]
    apps: usize,
    /// Duration of the measurement at rest, with the operator and again without it.
    #[arg(long, default_value = "2m", value_parser = duration)]
    rest: Duration,
    /// Only these apps: those with template queries, or those with custom queries.
    #[arg(long, value_enum)]
    arm: Option<ArmName>,
    /// A fault to show instead.
    #[arg(long, value_enum)]
    fault: Option<Fault>,
    /// Duration of the outage in the fault `outage`.
    #[arg(long, default_value = "10m", value_parser = duration)]
    outage: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ArmName {
    Templates,
    Custom,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// An outage of Prometheus while every app has more than its minimum replicas.
    Outage,
    /// 5 % of the queries fail, and each takes 200 ms.
    Errors,
    /// The query of one app returns 100,000 series. With template queries no app has its own query.
    Flood,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let tools = Tools::new(&arguments.name)?;
    let arms: &[Arm] = match (arguments.arm, arguments.fault) {
        (Some(ArmName::Templates), Some(Fault::Flood)) => {
            bail!("no app on templates has a query that could return too much: use --arm custom")
        }
        (Some(ArmName::Templates), _) => &[Arm::Templates],
        (Some(ArmName::Custom), _) | (None, Some(Fault::Flood)) => &[Arm::Custom],
        (None, _) => &[Arm::Templates, Arm::Custom],
    };
    let mut measured = Vec::new();
    for arm in arms {
        let outcome = until_ended(run(&tools, *arm, &arguments)).await;
        tools.cluster(&["down"])?;
        measured.extend(outcome.with_context(|| format!("failed with {}", arm.name()))?);
    }
    if !measured.is_empty() {
        table::print(arguments.apps, &measured);
    }
    Ok(())
}

async fn run(tools: &Tools, arm: Arm, arguments: &Arguments) -> Result<Option<Measured>> {
    tools.cluster(&["down"])?;
    tools.cluster(&["--hollow", "up", "--port", "0"])?;
    chart::install(tools, Nodes::Hollow)?;
    let fleet = Fleet::start(&tools.cluster, arm, arguments.apps).await?;
    eprintln!(
        "{} apps on {} are up after {:.0} s",
        arguments.apps,
        arm.name(),
        fleet.load_time.as_secs_f64()
    );
    match arguments.fault {
        None => measure(fleet, arm, arguments.rest).await.map(Some),
        Some(Fault::Outage) => faults::outage(fleet, arm, arguments.outage).await.map(|()| None),
        Some(Fault::Errors) => faults::errors(fleet, arm).await.map(|()| None),
        Some(Fault::Flood) => faults::flood(fleet, arm).await.map(|()| None),
    }
}

async fn measure(mut fleet: Fleet, arm: Arm, duration: Duration) -> Result<Measured> {
    sleep(SETTLE).await;
    let operator = fleet.operator.as_ref().context("no operator")?;
    let earlier = operator.metrics().await?;
    let some = fleet.some(REACTING);
    let out = fleet.change(&some, f64::from(WANTED) * PER_REPLICA, WANTED, SPREAD).await?;
    eprintln!("out: {} s, {} s", out.first, out.arrived);
    let back = fleet.change(&some, AT_REST, 1, SPREAD).await?;
    eprintln!("back: {} s", back.arrived);
    // The limit of a decision is reported for a while, too; after that the status does not change.
    sleep(CALM).await;
    let rest = fleet.rest(duration).await?;
    let later = operator.metrics().await?;
    eprintln!("{rest:?}");
    let lateness =
        (Fleet::tick_lateness(&earlier, &later, 0.95)?, Fleet::tick_lateness(&earlier, &later, 1.0)?);
    fleet.operator = None;
    sleep(SETTLE).await;
    let api_server_alone = fleet.api_server_cores(duration).await?;
    Ok(Measured { arm, load_time: fleet.load_time, out, back, lateness, rest, api_server_alone })
}

/// Reads `90s`, `30m` or `6h`.
fn duration(text: &str) -> Result<Duration> {
    let duration: jiff::SignedDuration = text.parse().context("write it as 90s, 30m or 6h")?;
    Duration::try_from(duration).context("a duration is not negative")
}
