//! The tick: one batch of queries for all apps, one pure pass over each, and a trigger for each app that needs a write.
//! I/O.

use super::{
    Context,
    app_index::{AppIndex, Decidable},
    memory::{AppMemory, SharedMemory},
};
use crate::{
    decide::{self, Pass, View},
    observe::{
        cluster::caches::{GuardedApp, app_ref},
        snapshot::Samples,
    },
    report::StatusUpdate,
    resolve::app::App,
    runtime::{clock, health::Health, metrics},
};
use kube::runtime::reflector::ObjectRef;
use scalableapp_crds::ScalableApp;
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, sleep_until},
};

/// Interval of the checks for answers to custom queries, which are spread over their own interval: an answer is used
/// within this time, not only at the next tick.
const BEAT: Duration = Duration::from_secs(1);

/// Ticks over which status updates without a change of replicas are spread. When Prometheus fails or recovers, every
/// app has one at once: they must not all be written at the same moment, nor delay a change of replicas.
const SPREAD_OVER: usize = 10;
/// The least status updates in one tick, however few apps there are.
const LEAST_UPDATES: usize = 20;

/// Runs until `shutdown`, once each `period`.
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
    let mut index = AppIndex::default();
    let mut beat = clock::monotonic() + BEAT;
    loop {
        let due = tokio::select! {
            biased;
            () = &mut shutdown => return,
            due = interval.tick() => Some(due),
            () = sleep_until(beat) => None,
        };
        // At each iteration, not only in a tick: ticks may be further apart than the heartbeat limit.
        health.beat();
        if let Some(due) = due {
            metrics::tick_began(due.elapsed());
        }
        if let Some(epoch) = context.writer.epoch() {
            let tenure = Tenure { context: &context, triggers: &triggers, epoch };
            if due.is_some() { tenure.turn(&mut index).await } else { tenure.between().await }
        }
        beat = due.unwrap_or(beat) + BEAT;
    }
}

/// The passes over apps of one tenure of the lease.
struct Tenure<'a> {
    context: &'a Context,
    triggers: &'a mpsc::Sender<ObjectRef<GuardedApp>>,
    epoch: i32,
}

impl Tenure<'_> {
    /// Measures and decides every app.
    async fn turn(&self, index: &mut AppIndex) {
        let context = self.context;
        let objects = context.cluster.apps.state();
        let (wanted, apps) = index.follow(&objects, &context.memories);
        let samples = context.samples.sample(&wanted, clock::wall()).await;
        // No budget can be declared yet.
        context.memories.share(self.epoch, BTreeMap::new(), objects.iter().map(Arc::as_ref));
        let mut updates = (apps.len() / SPREAD_OVER).max(LEAST_UPDATES);
        for Decidable { app, resolved, memory } in apps {
            let Ok(checked) = &**resolved else { continue };
            self.pass(app, checked, memory, &samples, &mut updates).await;
        }
    }

    /// Decides the apps whose custom queries were answered since. Other status updates wait for the tick.
    async fn between(&self) {
        let (samples, answered) = self.context.samples.go_on().await;
        for (namespace, name) in answered {
            let guarded = self.context.cluster.apps.get(&app_ref(&namespace, &name));
            let Some(Ok(app)) = guarded.as_ref().map(|guarded| &guarded.0) else { continue };
            if app.metadata.deletion_timestamp.is_some() {
                continue;
            }
            if let Ok(resolved) = &*self.context.memories.resolve(app) {
                self.pass(app, resolved, &self.context.memories.of(app), &samples, &mut 0).await;
            }
        }
    }

    /// Decides one app, and triggers its reconcile if that changes replicas, or needs a status update and `updates` are
    /// left. Nothing during its reconcile, which decides itself.
    async fn pass(
        &self,
        app: &ScalableApp,
        resolved: &App,
        memory: &SharedMemory,
        samples: &Samples,
        updates: &mut usize,
    ) {
        let (namespace, name) = (resolved.namespace.as_str(), resolved.name.as_str());
        let observed = self.context.cluster.of_app(app);
        let Ok(mut memory) = memory.try_lock() else { return };
        memory.enter(self.epoch, app);
        let now = clock::wall();
        let (writes, grants) =
            (memory.write_states(app, resolved, now), self.context.memories.grants(resolved));
        let view = View { writes: &writes, grants: &grants, ..View::new(&observed, samples, now) };
        let (known, decisions) = memory.of_pass(app);
        let mut pass = decide::pass(resolved, known, view, decisions);
        self.context.memories.note_demands(resolved, std::mem::take(&mut pass.demands));
        let key = (resolved.namespace.clone(), resolved.name.to_string());
        self.context.samples.note_trials(&key, memory.decide.trials(resolved));
        let scales = scales(&pass) || memory.pools != pass.pools || !pass.ejections.is_empty();
        let updates_status = !scales && *updates > 0 && needs_status_update(app, &mut memory, &pass);
        // Sending may wait for the app's own reconcile, which needs the memory.
        drop(memory);
        if updates_status {
            *updates -= 1;
        }
        if scales || updates_status {
            // The receiver is gone when the process is about to end.
            let _ = self.triggers.send(app_ref(namespace, name)).await;
        }
    }
}

/// Whether the pass would change replicas.
fn scales(pass: &Pass) -> bool {
    pass.components.iter().any(|one| {
        let planned = |hash| pass.plan.replicas.get(&one.state.name)?.get(hash);
        one.decision.is_some()
            // A failed write of a child is retried at its own time.
            && ((one.state.revisions.is_empty() && one.state.failure.is_none())
                || one.state.revisions.iter().any(|revision| {
                    planned(&revision.hash).is_some_and(|planned| *planned != revision.replicas)
                })
                || pass.memory.get(&one.state.name).is_some_and(|memory| {
                    one.state.failure.is_none() && (memory.is_new || !memory.resizes.is_empty())
                })
                || pass.routes.get(&one.state.name).is_some_and(|routed| {
                    one.state.failure.is_none() && routed.moves
                })
                || pass.selections.get(&one.state.name).is_some_and(|selection| {
                    one.state.failure.is_none() && selection.moves
                }))
    })
}

/// Whether the status would differ from the known one.
fn needs_status_update(app: &ScalableApp, memory: &mut AppMemory, pass: &Pass) -> bool {
    let states: Vec<_> = pass.components.iter().map(|one| &one.state).collect();
    let generation = app.metadata.generation.unwrap_or_default();
    let waits = memory.apply.unreported.as_ref().is_some_and(|unreported| {
        unreported.attempt.is_of(generation.unsigned_abs()) && !unreported.attempt.is_due(clock::wall())
    });
    // The full status is refused: it would be an update at every tick, and delay others.
    if waits {
        return false;
    }
    let leftover = memory.leftover(app);
    let said =
        StatusUpdate::of(memory.known_status(app), generation, &states, None).beside(leftover.as_ref());
    memory.is_news(app, &said.with_external(&app.spec).with_bottleneck(pass.bottleneck.as_ref()))
}
