//! The loop that writes the condition of each override. I/O.
//!
//! It checks all of them once per period: an override ends by time, and one with an unknown app belongs to no
//! reconcile. It writes only changes.

use super::Context;
use crate::{
    apply::{
        attempts::{Attempt, REFUSED_CAP},
        status,
        writer::{WriteError, Writer},
    },
    observe::cluster::caches::{GuardedApp, GuardedOverride, app_ref},
    report::overrides::{self, Counting, Target},
    runtime::clock,
};
use jiff::Timestamp;
use kube::{Resource, ResourceExt, runtime::reflector::Store};
use scalableapp_crds::{ScalingOverride, ScalingOverrideStatus};
use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    sync::Arc,
    time::Duration,
};
use tokio::{task::yield_now, time::MissedTickBehavior};

/// Runs until `shutdown`, once each `period`.
pub async fn run(context: Arc<Context>, period: Duration, shutdown: impl Future<Output = ()>) {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut shutdown = std::pin::pin!(shutdown);
    let mut said = OverrideReports::default();
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            _ = interval.tick() => {}
        }
        let (apps, acts) = (&context.cluster.apps, context.cluster.overrides.store());
        said.tell(&context.writer, apps, acts, clock::wall()).await;
    }
}

/// The statuses that this process wrote in its tenure, because the cache may still show earlier ones.
#[derive(Default)]
pub struct OverrideReports {
    epoch: i32,
    statuses: BTreeMap<OverrideKey, (String, ScalingOverrideStatus)>,
    /// Failed writes, with the override's uid.
    failed: BTreeMap<OverrideKey, (String, Attempt)>,
}

/// Namespace and name.
type OverrideKey = (String, String);

impl OverrideReports {
    /// Writes the changes, while this process leads. A failed write is retried in a later round, after all others. Once
    /// the API server has not answered one of these, the rest of them waits for the next round.
    pub async fn tell(
        &mut self,
        writer: &Writer,
        apps: &Store<GuardedApp>,
        overrides: &Store<GuardedOverride>,
        now: Timestamp,
    ) {
        let Some(epoch) = writer.epoch() else { return };
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
        let all = overrides.state();
        let living: Vec<&GuardedOverride> =
            all.iter().map(Arc::as_ref).filter(|one| one.meta().deletion_timestamp.is_none()).collect();
        let uids: HashMap<_, _> = living.iter().map(|one| (key_of(one), uid_of(one))).collect();
        self.statuses.retain(|key, (uid, _)| uids.get(key) == Some(uid));
        self.failed.retain(|key, (uid, _)| uids.get(key) == Some(uid));
        let counting = counting(&living, apps, now);
        let look = Turn { writer, apps, counting: &counting, now };
        let has_failed = |one: &&GuardedOverride| self.failed.contains_key(&key_of(one));
        let (failed, others): (Vec<_>, Vec<_>) = living.into_iter().partition(has_failed);
        for one in others {
            // Yields to other tasks, however many there are.
            yield_now().await;
            self.try_to_tell_of(one, look).await;
        }
        for one in failed {
            yield_now().await;
            let due = self.failed.get(&key_of(one)).is_none_or(|(_, attempt)| attempt.is_due(now));
            if due && !self.try_to_tell_of(one, look).await {
                return;
            }
        }
    }

    /// Returns whether the API server answered, if a request was sent.
    async fn try_to_tell_of(&mut self, one: &GuardedOverride, look: Turn<'_>) -> bool {
        let key = key_of(one);
        match self.tell_of(one, look).await {
            Ok(()) => {
                self.failed.remove(&key);
                true
            }
            Err(error) => {
                tracing::debug!(namespace = key.0, scalingoverride = key.1, %error, "will say it again");
                let earlier = self.failed.get(&key).map(|(_, attempt)| attempt);
                let attempt = Attempt::failed(earlier, 0, &error, REFUSED_CAP, look.now);
                self.failed.insert(key, (uid_of(one), attempt));
                !matches!(error, WriteError::TimedOut { .. })
            }
        }
    }

    async fn tell_of(&mut self, one: &GuardedOverride, look: Turn<'_>) -> Result<(), WriteError> {
        let Turn { writer, apps, counting, now } = look;
        let key = key_of(one);
        let said = self.statuses.get(&key).map(|(_, status)| status);
        let (known, status) = match &one.0 {
            Ok(one) => {
                let app = apps.get(&app_ref(&key.0, &one.spec.app));
                let target = match app.as_deref().map(|guarded| &guarded.0) {
                    None => Target::Missing,
                    Some(Err(_)) => Target::Unreadable,
                    Some(Ok(app)) => Target::App(app),
                };
                let known = said.or(one.status.as_ref());
                let none = Counting::default();
                let counting = counting.get(&(key.0.as_str(), one.spec.app.as_str())).unwrap_or(&none);
                (known, overrides::status(known, one, target, counting, now))
            }
            // Its status is unreadable, too, so only this process knows whether this was reported.
            Err(unreadable) => (said, overrides::unreadable(said, unreadable, now)),
        };
        let at = (key.0.as_str(), key.1.as_str());
        status::report::<ScalingOverride>(writer, "ScalingOverride", at, known, &status).await?;
        self.statuses.insert(key, (uid_of(one), status));
        Ok(())
    }
}

/// The input of a round.
#[derive(Clone, Copy)]
struct Turn<'a> {
    writer: &'a Writer,
    apps: &'a Store<GuardedApp>,
    /// The overrides in force of each app, by namespace and name.
    counting: &'a HashMap<(&'a str, &'a str), Counting>,
    now: Timestamp,
}

/// The overrides in force of each app. They are iterated once, however many there are.
fn counting<'a>(
    living: &[&'a GuardedOverride],
    apps: &Store<GuardedApp>,
    now: Timestamp,
) -> HashMap<(&'a str, &'a str), Counting> {
    let mut of_each: HashMap<(&str, &str), Vec<&ScalingOverride>> = HashMap::new();
    for one in living.iter().filter_map(|one| one.0.as_ref().ok()) {
        let namespace = one.metadata.namespace.as_deref().unwrap_or_default();
        of_each.entry((namespace, &one.spec.app)).or_default().push(one);
    }
    let counting = of_each.into_iter().filter_map(|((namespace, app), mut overrides)| {
        let guarded = apps.get(&app_ref(namespace, app))?;
        overrides.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        let counting = Counting::of(guarded.0.as_ref().ok()?, overrides.into_iter(), now);
        Some(((namespace, app), counting))
    });
    counting.collect()
}

fn key_of(one: &GuardedOverride) -> OverrideKey {
    (one.namespace().unwrap_or_default(), one.name_any())
}

fn uid_of(one: &GuardedOverride) -> String {
    one.uid().unwrap_or_default()
}
