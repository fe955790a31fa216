//! The input of a decision on one app. Pure.

use crate::evidence::Evidence;
use crate::limits::Limits;
use crate::memory::AppMemory;
use crate::stack::Stack;
use crate::state::State;
use jiff::Timestamp;

/// The input of a decision on one app. What a new rule needs belongs to one of these six fields.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// The declared app.
    pub stack: &'a Stack,
    /// The observed app.
    pub state: &'a State,
    /// The measurements. A decision reads what it needs.
    pub evidence: &'a dyn Evidence,
    /// Limits from outside the app.
    pub limits: &'a Limits,
    /// The memory of earlier decisions.
    pub memory: &'a AppMemory,
}
