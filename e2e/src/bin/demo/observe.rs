//! Watches, shows and records the scaling of the example. Talks to the cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use kubectl_scalableapp::args::Output;
use kubectl_scalableapp::screen::Screen;
use kubectl_scalableapp::status::{AppStatus, Component, Decision, Health};
use kubectl_scalableapp::view::reason;
use kubectl_scalableapp::watch::Target;
use scalableapp_crds::{ConditionStatus, condition_type};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::install::{WEB, WORKERS};
use crate::load;
use crate::provider::Provider;
use crate::recording::{Mark, Recording, Replicas, Sample};

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// Time limit from the example's creation to its ready pods.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Time limit from the end of the load to the initial replicas.
const SCALED_IN_WITHIN: Duration = Duration::from_secs(90);

/// Waits until the example is up.
pub(crate) async fn ready(target: &Target) -> Result<()> {
    let end = Instant::now() + READY_WITHIN;
    loop {
        let app = look(target).await?;
        if app.health == Health::Ready && app.measured_at.is_some() {
            return Ok(());
        }
        if Instant::now() > end {
            let why = app.deviations.iter().map(|deviation| deviation.message.clone()).chain(app.notes);
            bail!(
                "it is not ready after {} s: {}",
                READY_WITHIN.as_secs(),
                why.collect::<Vec<_>>().join(" ")
            );
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Shows and records the example from the start of the load until it has its initial replicas again.
pub(crate) async fn record(target: &Target) -> Result<Recording> {
    let (began, start) = (Timestamp::now(), Instant::now());
    let load_ends = start + Duration::from_secs(load::seconds().into());
    let mut recording = Recording { offered: load::corners(), ..Recording::default() };
    let mut decisions = BTreeSet::new();
    let mut provider = Provider::new(target.cluster.client.clone());
    let mut screen = Screen::stdout(Output::Table);
    let mut looks = interval(BETWEEN_LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        provider.follow(start.elapsed().as_secs_f64()).await?;
        let app = look(target).await?;
        recording.samples.extend(sample(&app, start.elapsed().as_secs_f64()));
        let changes = |decision: &&Decision| decision.time >= began && decision.from != decision.to;
        decisions.extend(app.decisions.iter().filter(changes).cloned());
        screen.show(vec![app], Timestamp::now())?;
        if Instant::now() > load_ends
            && (recording.has_settled() || Instant::now() > load_ends + SCALED_IN_WITHIN)
        {
            break;
        }
    }
    recording.decisions = decisions.iter().map(|decision| mark(decision, began)).collect();
    Ok(recording)
}

async fn look(target: &Target) -> Result<AppStatus> {
    target.look().await?.pop().context("the example has gone")
}

/// Only a measurement is a sample: the status alone may be older.
fn sample(app: &AppStatus, at: f64) -> Option<Sample> {
    app.measured_at?;
    let of = |name: &str| app.components.iter().find(|component| component.name == name);
    let (web, workers) = (of(WEB)?, of(WORKERS)?);
    let replicas = |one: &Component| Replicas { desired: one.desired, ready: one.ready };
    Some(Sample {
        at,
        request_rate: web.request_rate,
        p99: web.p99,
        web: replicas(web),
        jobs: workers.backlog.map(|backlog| backlog.waiting + backlog.running.unwrap_or_default()),
        workers: replicas(workers),
        degraded: app.deviations.iter().any(|one| {
            one.type_ == condition_type::DEPENDENCY_DEGRADED && one.status == ConditionStatus::True
        }),
    })
}

fn mark(decision: &Decision, began: Timestamp) -> Mark {
    let at = decision.time.duration_since(began).as_secs_f64();
    let component = decision.component.clone();
    Mark { at, component, from: decision.from, to: decision.to, reason: reason(decision) }
}
