//! What the process remembers of each app between two passes. It lasts for one tenure of the lease: another leader
//! may have acted since, and what must outlive a tenure is in the app's status.

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

/// An app that was checked, or what is wrong with it.
pub type Resolved = Arc<Result<App, Vec<Invalid>>>;

/// What is remembered of one app, for the one that has it: the tick or a reconcile.
pub type SharedMemory = Arc<tokio::sync::Mutex<AppMemory>>;

/// Something of each app by its `metadata.uid`, so that one that was deleted and made anew starts anew.
type OfEach<T> = Mutex<HashMap<String, T>>;

/// Whether it was reported that an object cannot be read.
#[derive(Clone)]
pub enum Report {
    /// It was.
    Written,
    /// The status could not be written.
    Failed(Attempt),
}

/// The memories of all apps.
#[derive(Default)]
pub struct Memories {
    apps: OfEach<SharedMemory>,
    /// Each app is resolved once for each generation.
    resolved: OfEach<(i64, Resolved)>,
    /// Objects that could not be read, with their generation, and the report of each.
    unreadable: OfEach<(i64, Report)>,
    /// What the apps share with one another.
    fleet: Mutex<Fleet>,
}

/// What is remembered of one app: of what was decided, of what was written, and of what was said.
#[derive(Default)]
pub struct AppMemory {
    epoch: i32,
    /// What was decided.
    pub decide: DecideMemory,
    /// What was written.
    pub apply: ApplyMemory,
    /// What was reported.
    report: ReportMemory,
}

impl Memories {
    /// The memory of one app; empty for an app, or a tenure, that is new.
    #[must_use]
    pub fn of(&self, app: &ScalableApp) -> SharedMemory {
        let mut memories = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = memories.get(uid(app)) {
            return Arc::clone(known);
        }
        Arc::clone(memories.entry(uid(app).to_owned()).or_default())
    }

    /// The app as it is resolved.
    pub fn resolve(&self, app: &ScalableApp) -> Resolved {
        let generation = app.metadata.generation.unwrap_or_default();
        let all = || self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, resolved)) = all().get(uid(app))
            && *known == generation
        {
            return Arc::clone(resolved);
        }
        // Not under the lock, which the passes over all other apps wait for.
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

    /// What an app may use of the budgets that it shares with others.
    pub fn grants(&self, app: &App) -> AppGrants {
        let fleet = self.fleet.lock().unwrap_or_else(PoisonError::into_inner);
        if fleet.is_idle() { AppGrants::new() } else { fleet.grants(&key(app)) }
    }

    /// Notes what an app needs of the budgets that it shares with others, as of its last decision.
    pub fn note_demands(&self, app: &App, demands: AppDemands) {
        let mut fleet = self.fleet.lock().unwrap_or_else(PoisonError::into_inner);
        if !fleet.is_idle() {
            fleet.note(key(app), demands);
        }
    }

    /// The report that this generation of an object cannot be read.
    pub fn unreadable(&self, object: &GuardedApp) -> Option<Report> {
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let (generation, report) = unreadable.get(uid(object))?;
        (*generation == object.meta().generation.unwrap_or_default()).then(|| report.clone())
    }

    /// Remembers the report that this generation of an object cannot be read.
    pub fn report_unreadable(&self, object: &GuardedApp, report: Report) {
        let generation = object.meta().generation.unwrap_or_default();
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        unreadable.insert(uid(object).to_owned(), (generation, report));
    }

    /// Forgets the apps that are gone: all but these.
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
    /// Starts anew if the tenure is another one, and keeps no second copy of the status that the cache shows.
    pub fn enter(&mut self, epoch: i32, app: &ScalableApp) {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
        self.report.enter(app);
    }

    /// Remembers the status that was written.
    pub fn report(&mut self, written: ScalableAppStatus) {
        self.report.note(written);
    }

    /// Whether a status update differs from the known status.
    pub fn is_news(&mut self, app: &ScalableApp, update: &StatusUpdate) -> bool {
        self.report.is_news(app, update)
    }

    /// The status that the API server has, as far as this process knows.
    #[must_use]
    pub fn known_status<'a>(&'a self, app: &'a ScalableApp) -> Option<&'a ScalableAppStatus> {
        self.report.known_status(app)
    }

    /// What is to be said of components that the spec no longer names.
    #[must_use]
    pub fn leftover(&self, app: &ScalableApp) -> Option<Failure> {
        let generation = app.metadata.generation.unwrap_or_default();
        self.apply.leftovers.said(was_applied(self.known_status(app), generation))
    }

    /// The components whose writes failed, by name.
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

    /// The known status beside what is remembered of decisions: what a pass needs, of which it changes the latter.
    pub fn of_pass<'a>(
        &'a mut self,
        app: &'a ScalableApp,
    ) -> (Option<&'a ScalableAppStatus>, &'a mut DecideMemory) {
        (self.report.known_status(app), &mut self.decide)
    }
}
