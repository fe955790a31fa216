//! The state of one component after a pass. Pure.

use crate::observe::cluster::workload::{LiveRevision, Problem, deadline_exceeded};
use scalableapp_crds::limits::{self, clip};
use scalableapp_crds::{DecisionRecord, ScalableAppStatus, ScalingMemory, condition_type};
use scalableapp_engine::reason::{self, Reason};

/// Name of the stage of a decision that tells of somebody else's write.
pub const OTHER_SCALER: &str = "other scaler";

/// Something that went wrong, as one word and one sentence.
pub type Failure = Problem;

/// What is known of the writes of one component that failed.
#[derive(Clone, Debug, Default)]
pub struct WriteState {
    /// The failure to name, if any.
    pub failure: Option<Failure>,
    /// Whether its replicas are not tried again yet.
    pub is_recent: bool,
}

/// The state of one component after a pass.
#[derive(Clone, Debug, Default)]
pub struct ComponentState {
    /// Name of the component.
    pub name: String,
    /// Minimum replicas, as the spec says.
    pub min: i32,
    /// Whether this pass decided it. If not, what was said of its scaling still stands.
    pub decided: bool,
    /// Who pauses its app, in words; nothing if nobody does.
    pub paused: Option<String>,
    /// Replicas that the last decision asked for.
    pub desired: i32,
    /// Hash of the declared revision.
    pub target: String,
    /// Its live revisions.
    pub revisions: Vec<LiveRevision>,
    /// What keeps pods of the declared revision from being ready.
    pub problem: Option<Problem>,
    /// The same of the other revisions.
    pub problem_of_others: Option<Problem>,
    /// Whether the generation is known to have been applied before this pass.
    pub was_applied: bool,
    /// What keeps the generation from being applied, or what was changed by somebody from being put right.
    pub failure: Option<Failure>,
    /// What keeps `desired` from what is asked for, the one that wins first.
    pub limited_by: Vec<Reason>,
    /// The first of them as a sentence; empty where nothing limits.
    pub limit: String,
    /// Whether the component declares metrics.
    pub measured: MetricsState,
    /// The decision to record, if it differs from the one that is recorded.
    pub record: Option<DecisionRecord>,
    /// What scaling must remember, if replicas are about to change.
    pub memory: Option<ScalingMemory>,
}

/// What is known of a component's metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetricsState {
    /// It declares none.
    NotAsked,
    /// Prometheus has not been asked yet.
    #[default]
    NotYet,
    /// No pod is ready, so there is nothing to measure yet.
    NoPodReady,
    /// Every metric has fresh evidence.
    Fresh,
    /// A metric has none: why, and in which words.
    Missing(Failure),
}

impl ComponentState {
    /// Pods that are ready, over all revisions.
    #[must_use]
    pub fn ready(&self) -> i32 {
        self.revisions.iter().map(|revision| revision.ready).sum()
    }

    /// Whether the declared revision is the only one that has pods.
    #[must_use]
    pub fn is_rolled_out(&self) -> bool {
        self.revisions.iter().any(|revision| revision.hash == self.target)
            && self.revisions.iter().all(|revision| revision.hash == self.target || revision.pods == 0)
    }

    /// Whether enough pods are ready for the component to be up. Load has no say: growing towards a larger number
    /// is no reason to call a component down.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.ready() >= self.min
    }

    /// What keeps replicas that are asked for from being ready.
    #[must_use]
    pub fn shortage(&self) -> Option<Failure> {
        let (ready, desired) = (self.ready(), self.desired);
        let problem =
            self.problem.as_ref().or(self.problem_of_others.as_ref()).filter(|_| ready < desired)?;
        let message = format!("{ready} of {desired} replicas are ready: {}", problem.message);
        Some(Failure { reason: problem.reason, message })
    }

    /// Whether the declared revision gave up waiting for its pods.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.revisions
            .iter()
            .any(|revision| revision.hash == self.target && deadline_exceeded(&revision.deployment))
    }

    /// The limits of `desired` as one text, for example `MaxReplicas`, as long as the status may have it.
    #[must_use]
    pub fn limited_by_names(&self) -> String {
        let names: Vec<&str> = self.limited_by.iter().map(|reason| reason.name).collect();
        clip(&names.join(", "), limits::LIMITED_BY).into_owned()
    }
}

/// What `Ready` says of a generation that is not applied, or not known to be.
const UNAPPLIED: [Reason; 6] = [
    reason::INVALID_SPEC,
    reason::UNREADABLE,
    reason::NAME_TAKEN,
    reason::CHILD_REFUSED,
    reason::CHILD_NOT_WRITTEN,
    reason::PAUSED,
];

/// Whether a generation was applied, by what is known.
#[must_use]
pub fn was_applied(known: Option<&ScalableAppStatus>, generation: i64) -> bool {
    let mut conditions = known.into_iter().flat_map(|status| &status.conditions);
    let ready = conditions.find(|condition| condition.type_ == condition_type::READY);
    ready.is_some_and(|ready| {
        ready.observed_generation == generation && UNAPPLIED.iter().all(|one| one.name != ready.reason)
    })
}
