//! Everything that a decision on one app depends on. Pure.

use crate::evidence::Evidence;
use crate::limits::Limits;
use crate::memory::AppMemory;
use crate::stack::Stack;
use crate::state::State;
use jiff::Timestamp;

/// Everything that a decision on one app depends on. What a new rule needs is a part of one of these six.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// What the app declares.
    pub stack: &'a Stack,
    /// What runs of it.
    pub state: &'a State,
    /// What was measured. A decision reads of it what it needs.
    pub evidence: &'a dyn Evidence,
    /// What others allow it.
    pub limits: &'a Limits,
    /// What earlier decisions left behind.
    pub memory: &'a AppMemory,
}
