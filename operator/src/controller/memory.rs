//! The process' memory of each app between two passes. It lasts for one tenure of the Lease: another leader may have
//! written since. What must survive a tenure is in the app's status.

use crate::{
    apply::{attempts::Attempt, memory::ApplyMemory},
    decide::{
        DecideMemory,
        component_state::{Failure, WriteState, was_applied},
        fleet::Fleet,
    },
    observe::{cluster::caches::GuardedApp, query_plan::AppKey},
    report::StatusUpdate,
    resolve::{app::App, invalid::Invalid},
};
use jiff::Timestamp;
use kube::Resource;
use scalableapp_crds::{ScalableApp, ScalableAppStatus};
use scalableapp_engine::allot::grants::{AppDemands, AppGrants};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

/// A resolved app, or its problems.
pub type Resolved = Arc<Result<App, Vec<Invalid>>>;

/// The memory of one app, locked by its user: the tick or a reconcile.
pub type SharedMemory = Arc<tokio::sync::Mutex<AppMemory>>;

/// Values of each app by its `metadata.uid`, so a deleted and recreated app starts without them.
type OfEach<T> = Mutex<HashMap<String, T>>;

/// Whether an unreadable object was reported.
#[derive(Clone)]
pub enum Report {
    /// It was reported.
    Written,
    /// The status could not be written.
    Failed(Attempt),
}

/// The memories of all apps.
#[derive(Default)]
pub struct Memories {
    apps: OfEach<SharedMemory>,
    /// Each app is resolved once per generation.
    resolved: OfEach<(i64, Resolved)>,
    /// Unreadable objects with their generation, and the report of each.
    unreadable: OfEach<(i64, Report)>,
    /// The shared budgets of the apps.
    fleet: Mutex<Fleet>,
}

/// The memory of one app: of decisions, writes and reports.
#[derive(Default)]
pub struct AppMemory {
    epoch: i32,
    /// Decisions.
    pub decide: DecideMemory,
    /// Writes.
    pub apply: ApplyMemory,
    /// The last written status, as long as the cache may still show the one before it.
    reported: Option<ScalableAppStatus>,
    /// Fingerprint of the last pass whose result was equal to the known status.
    silent: Option<u64>,
}

impl Memories {
    /// The memory of one app; empty for a new app or a new tenure.
    #[must_use]
    pub fn of(&self, app: &ScalableApp) -> SharedMemory {
        let mut memories = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = memories.get(uid(app)) {
            return Arc::clone(known);
        }
        Arc::clone(memories.entry(uid(app).to_owned()).or_default())
    }

    /// The resolved app.
    pub fn resolve(&self, app: &ScalableApp) -> Resolved {
        let generation = app.metadata.generation.unwrap_or_default();
        let all = || self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, resolved)) = all().get(uid(app))
            && *known == generation
        {
            return Arc::clone(resolved);
        }
        // Not under the lock, because the passes over all other apps wait for it.
        let resolved = Arc::new(crate::resolve::resolve(app));
        all().insert(uid(app).to_owned(), (generation, Arc::clone(&resolved)));
        resolved
    }

    /// Shares the budgets of several apps, once a tick. No budget can be declared yet.
    pub fn share<'a>(&self, apps: impl Iterator<Item = &'a App>) {
        let mut fleet = self.fleet.lock().unwrap_or_else(PoisonError::into_inner);
        if fleet.is_idle() {
            return;
        }
        let apps: HashSet<AppKey> = apps.map(key).collect();
        fleet.grant(BTreeMap::new(), |app| apps.contains(app));
    }

    /// The app's grants from shared budgets.
    pub fn grants(&self, app: &App) -> AppGrants {
        let fleet = self.fleet.lock().unwrap_or_else(PoisonError::into_inner);
        if fleet.is_idle() { AppGrants::new() } else { fleet.grants(&key(app)) }
    }

    /// Records the needs of an app from shared budgets, as of its last decision.
    pub fn note_demands(&self, app: &App, demands: AppDemands) {
        let mut fleet = self.fleet.lock().unwrap_or_else(PoisonError::into_inner);
        if !(demands.is_empty() && fleet.is_idle()) {
            fleet.note(key(app), demands);
        }
    }

    /// The report that this generation of an object is unreadable.
    pub fn unreadable(&self, object: &GuardedApp) -> Option<Report> {
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let (generation, report) = unreadable.get(uid(object))?;
        (*generation == object.meta().generation.unwrap_or_default()).then(|| report.clone())
    }

    /// Records the report that this generation of an object is unreadable.
    pub fn report_unreadable(&self, object: &GuardedApp, report: Report) {
        let generation = object.meta().generation.unwrap_or_default();
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        unreadable.insert(uid(object).to_owned(), (generation, report));
    }

    /// Removes all apps but these.
    pub fn retain<'a>(&self, existing: impl Iterator<Item = &'a GuardedApp>) {
        fn prune<T>(map: &OfEach<T>, existing: &HashSet<&str>) {
            map.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .retain(|uid, _| existing.contains(uid.as_str()));
        }
        let existing = existing.map(uid).collect();
        prune(&self.apps, &existing);
        prune(&self.resolved, &existing);
        prune(&self.unreadable, &existing);
    }
}

fn key(app: &App) -> AppKey {
    (app.namespace.clone(), app.name.to_string())
}

fn uid(object: &impl Resource) -> &str {
    object.meta().uid.as_deref().unwrap_or_default()
}

impl AppMemory {
    /// Starts again in a new tenure, and keeps no second copy of the status that the cache shows.
    pub fn enter(&mut self, epoch: i32, app: &ScalableApp) {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
        if self.reported == app.status {
            self.reported = None;
        }
    }

    /// Records the written status.
    pub fn report(&mut self, written: ScalableAppStatus) {
        (self.reported, self.silent) = (Some(written), None);
    }

    /// Whether the result of a pass is new. A repeated one is not compared with the known status, which would have to
    /// be read for every app in every tick.
    pub fn is_news(&mut self, app: &ScalableApp, said: &StatusUpdate) -> bool {
        let fingerprint = said.fingerprint(app.metadata.resource_version.as_deref());
        if fingerprint.is_some() && self.silent == fingerprint {
            return false;
        }
        let is_news = said.is_news(self.known_status(app));
        self.silent = fingerprint.filter(|_| !is_news);
        is_news
    }

    /// The API server's status, as far as this process knows.
    #[must_use]
    pub fn known_status<'a>(&'a self, app: &'a ScalableApp) -> Option<&'a ScalableAppStatus> {
        self.reported.as_ref().or(app.status.as_ref())
    }

    /// The failures to report for removed components.
    #[must_use]
    pub fn leftover(&self, app: &ScalableApp) -> Option<Failure> {
        let generation = app.metadata.generation.unwrap_or_default();
        self.apply.leftovers.said(was_applied(self.known_status(app), generation))
    }

    /// The components with failed writes, by name.
    #[must_use]
    pub fn write_states(&self, app: &ScalableApp, now: Timestamp) -> BTreeMap<String, WriteState> {
        let generation = app.metadata.generation.unwrap_or_default();
        self.apply.write_states(was_applied(self.known_status(app), generation), now)
    }

    /// The known status beside the memory of decisions: the input of a pass, which changes the latter.
    pub fn of_pass<'a>(
        &'a mut self,
        app: &'a ScalableApp,
    ) -> (Option<&'a ScalableAppStatus>, &'a mut DecideMemory) {
        (self.reported.as_ref().or(app.status.as_ref()), &mut self.decide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::component_state::ComponentState;
    use serde_json::json;

    fn said(desired: i32, known: Option<&ScalableAppStatus>) -> StatusUpdate {
        let state =
            ComponentState { name: "web".to_owned(), decided: true, desired, ..ComponentState::default() };
        StatusUpdate::of(known, 1, &[&state], None)
    }

    fn app(version: &str, status: ScalableAppStatus) -> ScalableApp {
        let app = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "shop", "uid": "1", "generation": 1, "resourceVersion": version},
            "spec": {"services": []},
        }));
        ScalableApp { status: Some(status), ..app.expect("an app") }
    }

    #[test]
    fn what_was_no_news_is_news_once_something_else_was_said() {
        let status = |desired| said(desired, None).status(None, Timestamp::UNIX_EPOCH);
        let mut memory = AppMemory::default();
        let before = app("1", status(2));
        let mut is_news = |app: &ScalableApp, desired| {
            let said = said(desired, memory.known_status(app));
            memory.is_news(app, &said)
        };
        assert_eq!([is_news(&before, 2), is_news(&before, 2), is_news(&before, 3)], [false, false, true]);
        assert!(!is_news(&before, 2));
        assert!(is_news(&app("2", status(3)), 2), "somebody else wrote the status");
        assert!(!is_news(&before, 2));
        memory.report(status(3));
        let said = said(2, memory.known_status(&before));
        assert!(memory.is_news(&before, &said), "the cache does not show the written status yet");
    }
}
