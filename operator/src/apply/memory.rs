//! What is remembered of the writes of one app. No I/O.

use super::{
    attempts::{Attempt, Attempts},
    record::Records,
};
use crate::event::Event;

/// A status that could not be written.
pub struct Unreported {
    /// How often in a row, and when it is tried again.
    pub attempt: Attempt,
    /// Whether a reduced one was written instead.
    pub is_reduced: bool,
}

/// What is remembered of the writes of one app, but for those of one component that failed.
#[derive(Default)]
pub struct ApplyMemory {
    /// What was applied.
    pub records: Records,
    /// Children of components that the spec no longer names and that could not be deleted.
    pub leftovers: Attempts,
    /// The status that could not be written.
    pub unreported: Option<Unreported>,
    /// Events that are not published yet, because a write after their cause failed.
    pub unpublished: Vec<Event>,
}
