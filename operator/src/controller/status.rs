//! The status write of an app, and its handling where the API server refuses it. I/O.

use super::{
    Context,
    memory::AppMemory,
    reconcile::{Error, KIND},
};
use crate::{
    apply::{
        self,
        attempts::{Attempt, CAP, REFUSED_CAP},
        memory::Unreported,
        writer::WriteError,
    },
    event::Event,
    runtime::{clock, metrics},
};
use kube::{Resource, ResourceExt};
use scalableapp_crds::{ScalableApp, ScalableAppStatus};
use scalableapp_engine::reason::{self, Reason};
use std::time::Duration;

/// Writes the status, unless it failed recently and waits for its retry. Where the API server refuses the full one, the
/// reduced one is written, so that scaling continues. Where it refuses both, an event reports it, because no condition
/// can. Returns the status that is valid from now on.
///
/// # Errors
/// When neither was written.
pub async fn write(
    context: &Context,
    app: &ScalableApp,
    memory: &mut AppMemory,
    status: ScalableAppStatus,
) -> Result<ScalableAppStatus, Error> {
    let now = clock::wall();
    let is_news = memory.known_status(app) != Some(&status);
    let earlier = memory.apply.unreported.take().filter(|earlier| earlier.attempt.is_of(generation(app)));
    if let Some(waiting) = earlier.as_ref().filter(|one| is_news && !one.attempt.is_due(now)) {
        let (is_reduced, until) = (waiting.is_reduced, waiting.attempt.until());
        memory.apply.unreported = earlier;
        let reduced = status.reduced();
        let is_written = is_reduced && send(context, app, memory, &reduced).await.is_ok();
        return if is_written { Ok(reduced) } else { Err(Error::Unreported(until)) };
    }
    let Err(error) = send(context, app, memory, &status).await else { return Ok(status) };
    let is_refusal = error.is_refusal();
    let cap = if is_refusal { REFUSED_CAP } else { CAP };
    let attempt = unreported(app, earlier.as_ref().map(|one| &one.attempt), error, cap)?;
    let reduced = status.reduced();
    let is_reduced = is_refusal && send(context, app, memory, &reduced).await.is_ok();
    if let Some(failure) = attempt.lasting() {
        let reason = if is_reduced { reason::STATUS_REDUCED } else { reason::STATUS_NOT_WRITTEN };
        tell(context, app, reason, format!("{} ({})", reason.sentence, failure.message)).await;
    }
    let until = attempt.until();
    memory.apply.unreported = Some(Unreported { attempt, is_reduced });
    if is_reduced { Ok(reduced) } else { Err(Error::Unreported(until)) }
}

async fn send(
    context: &Context,
    app: &ScalableApp,
    memory: &mut AppMemory,
    status: &ScalableAppStatus,
) -> Result<(), WriteError> {
    let (namespace, name) = (app.namespace().unwrap_or_default(), app.name_any());
    let (at, known) = ((namespace.as_str(), name.as_str()), memory.known_status(app));
    let written = apply::status::report::<ScalableApp>(&context.writer, KIND, at, known, status).await?;
    written.into_iter().for_each(|written| memory.report(written));
    Ok(())
}

/// A failed status write, if it waits for a retry.
pub fn unreported(
    object: &impl Resource,
    earlier: Option<&Attempt>,
    error: WriteError,
    cap: Duration,
) -> Result<Attempt, Error> {
    if matches!(error, WriteError::Conflict { .. } | WriteError::NotLeader { .. }) {
        return Err(error.into());
    }
    metrics::reconcile_failed(error.label());
    let app = object.name_any();
    tracing::warn!(namespace = object.namespace(), app, %error, "the status was not written; will try again");
    Ok(Attempt::failed(earlier, generation(object), &error, cap, clock::wall()))
}

/// The key of an attempt: another generation is tried at once.
fn generation(object: &impl Resource) -> u64 {
    object.meta().generation.unwrap_or_default().unsigned_abs()
}

/// Reports in an event what no condition can.
pub async fn tell(context: &Context, object: &impl Resource<DynamicType = ()>, reason: Reason, note: String) {
    let event = Event { warning: true, reason: reason.name, action: "Report", note };
    context.events.publish(&object.object_ref(&()), event).await;
}
