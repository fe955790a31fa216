//! What is remembered of the writes of one app. No I/O.

use super::{
    attempts::{Attempt, Attempts},
    failing::Failing,
    record::Records,
};
use crate::{
    decide::component_state::WriteState,
    event::Event,
    resolve::app::{App, Service},
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A status that could not be written.
pub struct Unreported {
    /// How often in a row, and when it is tried again.
    pub attempt: Attempt,
    /// Whether a reduced one was written instead.
    pub is_reduced: bool,
}

/// What is remembered of the writes of one app.
#[derive(Default)]
pub struct ApplyMemory {
    /// Writes of each component that failed.
    pub failing: BTreeMap<String, Failing>,
    /// What was applied.
    pub records: Records,
    /// Children of components that the spec no longer names and that could not be deleted.
    pub leftovers: Attempts,
    /// The status that could not be written.
    pub unreported: Option<Unreported>,
    /// Events that are not published yet, because a write after their cause failed.
    pub unpublished: Vec<Event>,
}

impl ApplyMemory {
    /// Forgets failures of components that are gone or invalid: nothing of them is written, so nothing is tried again.
    pub fn forget_unwritten(&mut self, app: &App) {
        self.failing.retain(|name, _| app.service(name).is_some_and(Service::is_valid));
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

    /// When the first write that failed is made again.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let components = self.failing.values().map(Failing::due);
        components.chain([self.leftovers.due()]).flatten().min()
    }
}
