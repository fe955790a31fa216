//! The pipeline for one app: observe, resolve, decide, render, apply, report. I/O.

use super::{
    Context,
    memory::{AppMemory, Report},
    status::{self, tell, unreported},
};
use crate::{
    apply::{self, app::Leader, attempts::REFUSED_CAP, writer::WriteError},
    decide::{self, Pass, View, component_state::Failure, removed::Removed},
    observe::cluster::caches::{GuardedApp, Observed},
    render::{
        render,
        settings::{Memory, SelectedRevisions, Settings},
    },
    report::{self, StatusUpdate, joined::joined, rollouts::RolloutEnd},
    resolve::invalid::Invalid,
    runtime::{clock, metrics},
};
use jiff::Timestamp;
use kube::{Resource, ResourceExt, runtime::controller::Action};
use scalableapp_crds::{Cause, ScalableApp, Unreadable};
use scalableapp_engine::reason;
use std::{mem, sync::Arc, time::Duration};

/// Kind of the objects that are reconciled.
pub const KIND: &str = "ScalableApp";
/// After a conflict: the cache shows the newer object by then.
const AGAIN: Duration = Duration::from_millis(500);
/// After a failed write that blocks all others.
const RETRY: Duration = Duration::from_secs(5);
/// Interval of a full reconcile, in case a watch lost an event.
const RESYNC: Duration = Duration::from_secs(600);

/// Why a reconcile ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A write failed that blocks all others.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The status could not be written, and is not retried before this time.
    #[error("the status could not be written")]
    Unreported(Timestamp),
}

/// Reconciles one app.
///
/// # Errors
/// When its status is not written, or another process leads.
pub async fn reconcile(object: Arc<GuardedApp>, context: Arc<Context>) -> Result<Action, Error> {
    let Some(epoch) = context.writer.epoch() else { return Ok(Action::await_change()) };
    let app = match &object.0 {
        Ok(app) => app,
        Err(invalid) => return unreadable(&context, &object, invalid).await,
    };
    let memory = context.memories.of(app);
    let mut memory = memory.lock().await;
    memory.enter(epoch, app);
    let started = clock::monotonic();
    let result = if app.metadata.deletion_timestamp.is_some() {
        deleting(&context, app, &mut memory).await
    } else {
        Box::pin(pipeline(&context, app, &mut memory, epoch)).await
    };
    metrics::reconciled(started.elapsed());
    result
}

async fn pipeline(
    context: &Context,
    app: &ScalableApp,
    memory: &mut AppMemory,
    epoch: i32,
) -> Result<Action, Error> {
    let observed = context.cluster.of_app(app);
    let resolved = context.memories.resolve(app);
    let resolved = match &*resolved {
        Ok(resolved) => resolved,
        Err(invalid) => return invalid_spec(context, app, memory, invalid).await,
    };
    let samples = context.samples.latest();
    let (recording, now) = (context.decisions.is_open(), clock::wall());
    let (writes, grants) = (memory.write_states(app, resolved, now), context.memories.grants(resolved));
    let view = View { writes: &writes, grants: &grants, recording, ..View::new(&observed, &samples, now) };
    let (known, decisions) = memory.of_pass(app);
    let mut pass = decide::pass(resolved, known, view, decisions);
    memory.pools.clone_from(&pass.pools);
    if pass.components.iter().any(|one| one.state.paused.is_some()) {
        say(context, app, memory, &pass, None).await?;
        return Ok(Action::requeue(RESYNC));
    }
    let settings = settings(&pass, &observed);
    let children = render(resolved, u64::try_from(epoch).unwrap_or_default(), &settings);
    let leader = Leader { writer: &context.writer, cluster: &context.cluster, epoch };
    apply::app::apply(leader, resolved, &observed, children, &mut memory.apply, &mut pass).await?;
    // The status comes before the replicas: a change that was recorded but not made delays the next leader's changes,
    // while one that was made but not recorded would let it scale too fast.
    say(context, app, memory, &pass, None).await?;
    let (decisions, writes) = (&mut memory.decide, &mut memory.apply);
    let again = apply::scale::scale(leader, resolved, decisions, writes, &pass).await?;
    apply::resize::resize(leader, resolved, &mut memory.decide, &mut memory.apply, &pass).await?;
    apply::eject::eject(leader, &mut memory.decide, &mut memory.apply, &pass).await?;
    if again {
        return Ok(Action::requeue(AGAIN));
    }
    // The next reconcile waits for the cache to show the last write, at most until its own time.
    Ok(Action::requeue(memory.apply.due().map_or(RESYNC, |due| from_now(due).max(AGAIN))))
}

/// What is decided while pods run.
fn settings(pass: &Pass, observed: &Observed) -> Settings {
    let memory = pass
        .memory
        .iter()
        .map(|(cache, memory)| (cache.clone(), Memory { bytes: memory.bytes, replaces: memory.replaces }));
    let Removed { caches, readers } = pass.removed.clone();
    let selections = pass.selections.iter().map(|(name, one)| {
        let (active, preview) = (one.active.clone(), one.preview.clone());
        (name.clone(), SelectedRevisions { active, preview })
    });
    Settings {
        shards: pass.shards(observed),
        memory: memory.collect(),
        removed_shards: caches,
        removed_readers: readers,
        pools: pass.pools.clone(),
        selections: selections.collect(),
        weights: pass.routes.iter().map(|(name, routed)| (name.clone(), routed.weights.clone())).collect(),
    }
}

/// The time until then.
fn from_now(then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(clock::wall())).unwrap_or_default().min(RESYNC)
}

/// An app that is being deleted is left to the garbage collector. What blocks the deletion is reported, because it may
/// take long.
async fn deleting(context: &Context, app: &ScalableApp, memory: &mut AppMemory) -> Result<Action, Error> {
    memory.decide.forget_recommendations();
    let finalizers = app.metadata.finalizers.as_deref().unwrap_or_default().join(", ");
    let sentence = reason::DELETING.sentence;
    let failure =
        Failure { reason: reason::DELETING, message: format!("{sentence} It waits for: {finalizers}.") };
    say(context, app, memory, &Pass::default(), Some(&failure)).await?;
    Ok(Action::await_change())
}

async fn invalid_spec(
    context: &Context,
    app: &ScalableApp,
    memory: &mut AppMemory,
    invalid: &[Invalid],
) -> Result<Action, Error> {
    memory.decide.forget_recommendations();
    let sentences: Vec<String> = invalid.iter().map(Invalid::to_string).collect();
    let failure = Failure { reason: reason::INVALID_SPEC, message: joined(&sentences) };
    say(context, app, memory, &Pass::default(), Some(&failure)).await?;
    Ok(Action::await_change())
}

/// The status write, and its events.
async fn say(
    context: &Context,
    app: &ScalableApp,
    memory: &mut AppMemory,
    pass: &Pass,
    failure: Option<&Failure>,
) -> Result<(), Error> {
    let states: Vec<_> = pass.components.iter().map(|one| &one.state).collect();
    let generation = app.metadata.generation.unwrap_or_default();
    let leftover = memory.leftover(app);
    let known = memory.known_status(app);
    let said = StatusUpdate::of(known, generation, &states, failure).beside(leftover.as_ref());
    let said = said.with_external(&app.spec).with_bottleneck(pass.bottleneck.as_ref());
    let status = said.status(known, clock::wall());
    let before = known.cloned();
    let status = status::write(context, app, memory, status).await?;
    let events = report::events::events(before.as_ref(), &status);
    for RolloutEnd { promoted, by_person } in report::rollouts::ends(before.as_ref(), &status) {
        metrics::rollout_ended(promoted, if by_person { "person" } else { "evidence" });
    }
    if let Some(record) = &pass.recorded {
        context.decisions.write(record);
    }
    let about = app.object_ref(&());
    for event in mem::take(&mut memory.apply.unpublished).into_iter().chain(events) {
        tracing::info!(
            namespace = app.namespace(),
            app = app.name_any(),
            reason = event.reason,
            "{}",
            event.note
        );
        context.events.publish(&about, event).await;
    }
    Ok(())
}

/// An unreadable object gets its own condition and does not affect others.
async fn unreadable(context: &Context, object: &GuardedApp, invalid: &Unreadable) -> Result<Action, Error> {
    let reason = match &invalid.cause {
        Cause::TooLarge(_) => reason::TOO_LARGE,
        Cause::Shape(_) => reason::UNREADABLE,
    };
    let earlier = match context.memories.unreadable(object) {
        Some(Report::Written) => return Ok(Action::await_change()),
        Some(Report::Failed(earlier)) if !earlier.is_due(clock::wall()) => {
            return Err(Error::Unreported(earlier.until()));
        }
        Some(Report::Failed(earlier)) => Some(earlier),
        None => None,
    };
    let failure = Failure { reason, message: format!("{} ({invalid})", reason.sentence) };
    let generation = object.meta().generation.unwrap_or_default();
    let status = StatusUpdate::of(None, generation, &[], Some(&failure)).status(None, clock::wall());
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    // Its status is unreadable, too, so only this process knows whether this was reported.
    let written =
        apply::status::report::<ScalableApp>(&context.writer, KIND, (&namespace, &name), None, &status).await;
    match written {
        Ok(_) => {
            context.memories.report_unreadable(object, Report::Written);
            Ok(Action::await_change())
        }
        // For an object of this size the API server may take longer than the time-out of a write.
        Err(error) => {
            let attempt = unreported(object, earlier.as_ref(), error, REFUSED_CAP)?;
            let until = attempt.until();
            let is_lasting = attempt.lasting().is_some();
            context.memories.report_unreadable(object, Report::Failed(attempt));
            if is_lasting {
                tell(context, object, reason, failure.message).await;
            }
            Err(Error::Unreported(until))
        }
    }
}

/// The time of the next reconcile.
#[expect(clippy::needless_pass_by_value, reason = "the controller hands over the object")]
pub fn on_error(object: Arc<GuardedApp>, error: &Error, _: Arc<Context>) -> Action {
    let error = match error {
        Error::Unreported(until) => return Action::requeue(from_now(*until)),
        Error::Write(error) => error,
    };
    metrics::reconcile_failed(error.label());
    match error {
        WriteError::Conflict { .. } => {
            tracing::debug!(app = object.name_any(), %error, "deciding again");
            Action::requeue(AGAIN)
        }
        WriteError::NotLeader { .. } => Action::await_change(),
        _ => {
            tracing::warn!(app = object.name_any(), %error, "will try again");
            Action::requeue(RETRY)
        }
    }
}
