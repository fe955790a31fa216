//! DIAGNOSE: the one cause of an app's problem, or none. Pure.
//!
//! Each cause is a function in a file of its own and a row of [`CAUSES`]. The first one also brings what BOUND makes of a
//! verdict: it may act through bounds alone.

use crate::app::component::Proposed;
use crate::input::Input;
use crate::reason::Reason;

/// A diagnosed cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Name of the component with the cause.
    pub component: String,
    /// The cause.
    pub cause: Reason,
}

type Cause = fn(&Input<'_>, &[Proposed<'_>]) -> Option<Verdict>;

/// The causes, in order of precedence. None exists yet.
const CAUSES: [Cause; 0] = [];

/// The first cause that applies.
pub(crate) fn diagnose(input: &Input<'_>, components: &[Proposed<'_>]) -> Option<Verdict> {
    CAUSES.iter().find_map(|cause| cause(input, components))
}
