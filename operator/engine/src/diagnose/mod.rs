//! DIAGNOSE: the one cause of an app's problem, or none. Pure.
//!
//! [`diagnose()`] looks at an [`Observation`](observation::Observation) in two stages:
//!
//! 1. `gate`: is there an incident at all? Without one the verdict is Healthy, and nothing is said.
//! 2. `walk`: from the node with the symptom along synchronous calls to the node that explains it, by its excess:
//!    requests × (value − normal). `rank` orders the nodes where no calls are known. At that node the table of `causes`
//!    names the resource.
//!
//! Two candidates that are too close are Unknown, with the measurement that would decide. No resource at all is
//! NotAScalingProblem. A new cause is a file in `causes`, a row of its table and a [`Reason`](crate::reason::Reason).

mod calibrate;
mod causes;
mod changes;
mod gate;
mod graph;
pub mod headroom;
mod judge;
pub mod observation;
mod place;
pub mod quantity;
mod rank;
pub mod standing;
pub mod statistics;
pub mod verdict;
mod walk;

use calibrate::calibrated;
use causes::Facts;
use changes::Changes;
use graph::Graph;
use observation::Observation;
use verdict::Diagnosis;

/// Diagnoses one app.
#[must_use]
pub fn diagnose(observation: &Observation) -> Diagnosis {
    let graph = Graph::of(observation);
    if gate::is_quiet(observation, &graph) {
        return Diagnosis::healthy();
    }
    let calibrated = calibrated(observation);
    let Some(alarm) = gate::symptom(observation, &calibrated, &graph) else { return Diagnosis::healthy() };
    let case = Case { observation, changes: &calibrated.changes, graph: &graph };
    case.judge(&case.place(alarm))
}

/// An observation with what is computed of it once.
struct Case<'a> {
    observation: &'a Observation,
    changes: &'a Changes,
    graph: &'a Graph<'a>,
}

impl<'a> Case<'a> {
    fn facts(&self, node: &str) -> Facts<'a> {
        let node = self.changes.name(node).or_else(|| self.graph.name(node)).unwrap_or_default();
        Facts { node, changes: self.changes, graph: self.graph, observation: self.observation }
    }
}
