//! The memory of the writes of one app. No I/O.

use super::{
    attempts::{Attempt, Attempts},
    failing::Failing,
    passwords::Passwords,
    record::Records,
};
use crate::{
    decide::component_state::WriteState,
    event::Event,
    resolve::app::{App, Component},
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A failed status write.
pub struct Unreported {
    /// The number of consecutive failures, and the time of the retry.
    pub attempt: Attempt,
    /// Whether a reduced one was written instead.
    pub is_reduced: bool,
}

/// The memory of the writes of one app.
#[derive(Default)]
pub struct ApplyMemory {
    /// Failed writes of each component.
    pub failing: BTreeMap<String, Failing>,
    /// The applied children.
    pub records: Records,
    /// The Secrets of the caches.
    pub passwords: Passwords,
    /// Children of removed components that could not be deleted.
    pub leftovers: Attempts,
    /// The failed status write.
    pub unreported: Option<Unreported>,
    /// What was said of memory that the cluster refuses, by cache.
    pub refused_memory: BTreeMap<String, String>,
    /// Events that are not published yet, because a write after their cause failed.
    pub unpublished: Vec<Event>,
}

impl ApplyMemory {
    /// Forgets failures of components that are gone or invalid: nothing of them is written, so nothing is tried again.
    pub fn forget_unwritten(&mut self, app: &App) {
        let is_written = |name: &str| app.component(name).is_some_and(Component::is_valid);
        self.failing.retain(|name, _| is_written(name));
        self.passwords.retain(is_written);
    }

    /// The components whose writes failed, by name: what is said of it, and whether their replicas are decided. `was_applied`
    /// says that the generation was applied before.
    #[must_use]
    pub fn write_states(&self, was_applied: bool, now: Timestamp) -> BTreeMap<String, WriteState> {
        let states = self.failing.iter().map(|(name, failing)| {
            let state = WriteState { failure: failing.said(was_applied), is_recent: failing.is_recent(now) };
            (name, state)
        });
        let failed = states.filter(|(_, state)| state.failure.is_some() || state.is_recent);
        failed.map(|(name, state)| (name.clone(), state)).collect()
    }

    /// The time of the earliest retry.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let components = self.failing.values().map(Failing::due);
        components.chain([self.leftovers.due()]).flatten().min()
    }
}
