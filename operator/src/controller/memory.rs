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
    report::{StatusUpdate, memory::ReportMemory},
    resolve::{app::App, invalid::Invalid},
};
use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use scalableapp_crds::{ScalableApp, ScalableAppStatus};
use scalableapp_engine::allot::grants::{AppDemands, AppGrants};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
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
    /// The sizes of connection pools that were applied last, by component.
    pub pools: BTreeMap<String, i32>,
    /// What was reported.
    report: ReportMemory,
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

    /// Shares the budgets between these apps, once a tick of a tenure.
    pub fn share<'a>(
        &self,
        epoch: i32,
        budgets: BTreeMap<String, i64>,
        apps: impl Iterator<Item = &'a GuardedApp>,
    ) {
        let key = |app: &GuardedApp| (app.namespace().unwrap_or_default(), app.name_any());
        let apps = if budgets.is_empty() { BTreeSet::new() } else { apps.map(key).collect() };
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner).grant(epoch, budgets, &apps);
    }

    /// The app's grants from shared budgets.
    pub fn grants(&self, app: &App) -> AppGrants {
        let fleet = self.fleet.lock().unwrap_or_else(PoisonError::into_inner);
        if fleet.is_idle() { AppGrants::new() } else { fleet.grants(&key(app)) }
    }

    /// Records the needs of an app from shared budgets, as of its last decision.
    pub fn note_demands(&self, app: &App, demands: AppDemands) {
        let mut fleet = self.fleet.lock().unwrap_or_else(PoisonError::into_inner);
        if !fleet.is_idle() {
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
        self.report.enter(app);
    }

    /// Records the written status.
    pub fn report(&mut self, written: ScalableAppStatus) {
        self.report.note(written);
    }

    /// Whether a status update differs from the known status.
    pub fn is_news(&mut self, app: &ScalableApp, update: &StatusUpdate) -> bool {
        self.report.is_news(app, update)
    }

    /// The API server's status, as far as this process knows.
    #[must_use]
    pub fn known_status<'a>(&'a self, app: &'a ScalableApp) -> Option<&'a ScalableAppStatus> {
        self.report.known_status(app)
    }

    /// The failures to report for removed components.
    #[must_use]
    pub fn leftover(&self, app: &ScalableApp) -> Option<Failure> {
        let generation = app.metadata.generation.unwrap_or_default();
        self.apply.leftovers.said(was_applied(self.known_status(app), generation))
    }

    /// The components with failed writes, by name.
    #[must_use]
    pub fn write_states(
        &mut self,
        app: &ScalableApp,
        resolved: &App,
        now: Timestamp,
    ) -> BTreeMap<String, WriteState> {
        self.apply.forget_unwritten(resolved);
        let generation = app.metadata.generation.unwrap_or_default();
        self.apply.write_states(was_applied(self.known_status(app), generation), now)
    }

    /// The known status beside the memory of decisions: the input of a pass, which changes the latter.
    pub fn of_pass<'a>(
        &'a mut self,
        app: &'a ScalableApp,
    ) -> (Option<&'a ScalableAppStatus>, &'a mut DecideMemory) {
        (self.report.known_status(app), &mut self.decide)
    }
}
