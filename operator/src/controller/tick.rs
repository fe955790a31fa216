//! The loop that follows time: one batch of queries for all apps, one pure pass over them, and a trigger for each app
//! whose pass asks for a write. I/O.

use super::{
    Context,
    decide::{self, ComponentPass},
    memory::{AppMemory, Resolved},
};
use crate::{
    observe::{
        cluster::{GuardedApp, app_ref},
        samples::Samples,
        wanted::Wanted,
    },
    report,
    resolve::app::App,
    runtime::{
        clock,
        health::Health,
        live::{LiveApp, LiveComponent, LiveMetric},
        metrics,
    },
};
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use scalableapp_crds::ScalableApp;
use scalableapp_engine::Decision;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::MissedTickBehavior};

/// Turns until `shutdown`, once each `period`.
pub async fn run(
    context: Arc<Context>,
    triggers: mpsc::Sender<ObjectRef<GuardedApp>>,
    health: Health,
    period: Duration,
    shutdown: impl Future<Output = ()>,
) {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let due = tokio::select! {
            () = &mut shutdown => return,
            due = interval.tick() => due,
        };
        metrics::tick_began(due.elapsed());
        health.beat();
        if let Some(epoch) = context.writer.epoch() {
            turn(&context, &triggers, epoch).await;
        }
    }
}

async fn turn(context: &Context, triggers: &mpsc::Sender<ObjectRef<GuardedApp>>, epoch: i32) {
    let guarded = context.cluster.apps.state();
    let apps: Vec<&ScalableApp> = guarded.iter().filter_map(|app| app.0.as_ref().ok()).collect();
    let existing = guarded.iter().map(|app| (app.namespace().unwrap_or_default(), app.name_any()));
    context.memories.retain(&existing.collect());
    let resolved: Vec<(&ScalableApp, Resolved)> =
        apps.into_iter().map(|app| (app, context.memories.resolve(app))).collect();
    let wanted = Wanted::of(resolved.iter().filter_map(|(_, resolved)| resolved.as_ref().as_ref().ok()));
    let samples = context.samples.sample(&wanted, clock::wall()).await;
    let mut live = Vec::with_capacity(resolved.len());
    for (app, resolved) in &resolved {
        let Ok(resolved) = &**resolved else { continue };
        let (namespace, name) = (resolved.namespace.as_str(), resolved.name.as_str());
        let observed = context.cluster.of_app(namespace, name);
        let memory = context.memories.of(app);
        // An app whose reconcile is under way decides for itself.
        let Ok(mut memory) = memory.try_lock() else { continue };
        memory.enter(epoch, app);
        let known = memory.known_status(app).cloned();
        let now = clock::wall();
        let passes = decide::pass(resolved, known.as_ref(), &observed, &samples, &mut memory, now);
        if asks_for_a_write(app, &memory, &passes) && triggers.send(app_ref(namespace, name)).await.is_err() {
            return;
        }
        live.push(live_app(resolved, &samples, &passes));
    }
    context.live.replace(live);
}

/// Whether the pass would change replicas or say something new.
fn asks_for_a_write(app: &ScalableApp, memory: &AppMemory, passes: &[ComponentPass]) -> bool {
    let scales = passes.iter().any(|pass| {
        pass.decision.is_some()
            && (pass.standing.revisions.is_empty()
                || pass.standing.revisions.iter().any(|revision| {
                    pass.planned.get(&revision.hash).is_some_and(|planned| *planned != revision.replicas)
                }))
    });
    let known = memory.known_status(app);
    let standings: Vec<_> = passes.iter().map(|pass| pass.standing.clone()).collect();
    let generation = app.metadata.generation.unwrap_or_default();
    scales || Some(&report::status(known, generation, &standings, None, clock::wall())) != known
}

/// What the plugin is shown of an app.
fn live_app(app: &App, samples: &Samples, passes: &[ComponentPass]) -> LiveApp {
    LiveApp {
        app: app.name.to_string(),
        namespace: app.namespace.clone(),
        observed_at: clock::wall(),
        components: passes.iter().map(|pass| live_component(app, samples, pass)).collect(),
    }
}

fn live_component(app: &App, samples: &Samples, pass: &ComponentPass) -> LiveComponent {
    let ComponentPass { standing, decision, planned: _ } = pass;
    let (namespace, name) = (app.namespace.as_str(), app.name.as_str());
    metrics::desired_replicas(namespace, name, &standing.name, standing.desired);
    LiveComponent {
        name: standing.name.clone(),
        desired: standing.desired,
        ready: standing.ready(),
        current: standing.revisions.iter().map(|revision| revision.replicas).sum(),
        request_rate: samples.request_rate(namespace, name, &standing.name),
        latency: samples.latency(namespace, name, &standing.name),
        metrics: decision.iter().flat_map(live_metrics).collect(),
        reason: decision.as_ref().map(|decision| decision.reason.name.to_owned()).unwrap_or_default(),
        message: decision.as_ref().map(Decision::message).unwrap_or_default(),
    }
}

fn live_metrics(decision: &Decision) -> impl Iterator<Item = LiveMetric> {
    decision.proposals.iter().map(|proposal| LiveMetric {
        name: proposal.metric.clone(),
        value: proposal.value.clone(),
        target: proposal.target.clone(),
        quality: decision
            .invalid
            .get(&proposal.metric)
            .map_or("Fresh", |invalid| invalid.reason.name)
            .to_owned(),
        proposal: proposal.replicas,
    })
}
