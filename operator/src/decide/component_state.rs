//! The state of one component after a pass. Pure.

use crate::observe::cluster::named::Obstacle;
use crate::observe::cluster::workload::{LiveRevision, Problem, deadline_exceeded};
use scalableapp_crds::limits::{self, clip};
use scalableapp_crds::{
    DecisionRecord, RolloutPhase, RolloutStatus, ScalableAppStatus, ScalingMemory, Tier, condition_type,
};
use scalableapp_engine::bounds::circuit::DependencyState;
use scalableapp_engine::reason::{self, Reason};
use std::collections::BTreeMap;

/// Name of the stage that reports another writer of the replicas.
pub const OTHER_SCALER: &str = "other scaler";

/// A problem, as one word and one sentence.
pub type Failure = Problem;

/// The failed writes of one component.
#[derive(Clone, Debug, Default)]
pub struct WriteState {
    /// The failure to report, if any.
    pub failure: Option<Failure>,
    /// Whether its replicas wait for a retry.
    pub is_recent: bool,
}

/// The state of one component after a pass.
#[derive(Clone, Debug, Default)]
pub struct ComponentState {
    /// Name of the component.
    pub name: String,
    /// Its kind.
    pub tier: Tier,
    /// Minimum replicas of the spec.
    pub min: i32,
    /// Whether this pass decided it. If not, its earlier scaling status stays.
    pub decided: bool,
    /// Who pauses its app, in words; `None` without a pause.
    pub paused: Option<String>,
    /// Desired replicas of the last decision.
    pub desired: i32,
    /// Hash of the declared revision.
    pub target: String,
    /// Its live revisions.
    pub revisions: Vec<LiveRevision>,
    /// Pods of a StatefulSet that do not have the declared revision yet.
    pub outdated: usize,
    /// The problem that keeps pods of the declared revision from being ready.
    pub problem: Option<Problem>,
    /// The same of the other revisions.
    pub problem_of_others: Option<Problem>,
    /// What stands in the way of scaling a Cluster of CloudNativePG.
    pub obstacle: Option<Obstacle>,
    /// Whether the generation was applied before this pass.
    pub was_applied: bool,
    /// The problem that blocks the generation, or the repair of an edit.
    pub failure: Option<Failure>,
    /// The limits of `desired`, in order of precedence.
    pub limited_by: Vec<Reason>,
    /// The first of them as a sentence; empty without a limit.
    pub limit: String,
    /// Whether the component declares metrics.
    pub measured: MetricsState,
    /// Whether it calls a dependency.
    pub calls_dependencies: bool,
    /// What is known of each dependency that it calls, by name; empty where it was not decided.
    pub dependencies: BTreeMap<String, DependencyState>,
    /// Why the circuit breakers for a dependency are not known, as a sentence, by its name.
    pub circuit_problems: BTreeMap<String, String>,
    /// The database whose connections a rollout waits for.
    pub rollout_waits_for: Option<String>,
    /// Whether it has a blue-green rollout.
    pub is_blue_green: bool,
    /// Where the canary or the blue-green rollout is; `None` without one, and where it was not decided.
    pub rollout: Option<RolloutStatus>,
    /// What stands in the way of requests by its route.
    pub route: Option<Problem>,
    /// The HTTPRoute of which a gateway is behind, while pods stay for that.
    pub waits_for_gateway: Option<String>,
    /// The decision to record, if it differs from the recorded one.
    pub record: Option<DecisionRecord>,
    /// The memory of scaling, if replicas or what holds them are about to change.
    pub memory: Option<ScalingMemory>,
}

/// The state of a component's metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetricsState {
    /// It declares none.
    NotAsked,
    /// Prometheus has not been queried yet.
    #[default]
    NotYet,
    /// No pod is ready, so nothing can be measured yet.
    NoPodReady,
    /// Every metric has fresh evidence.
    Fresh,
    /// A metric has none, with the reason.
    Missing(Failure),
}

impl ComponentState {
    /// Pods that are ready, over all revisions.
    #[must_use]
    pub fn ready(&self) -> i32 {
        self.revisions.iter().map(|revision| revision.ready).sum()
    }

    /// Pods that are ready and get requests: in a blue-green rollout those of one revision.
    #[must_use]
    pub fn serving(&self) -> i32 {
        let active = self.rollout.as_ref().map(|rollout| rollout.active.as_str()).unwrap_or_default();
        match self.revisions.iter().find(|revision| revision.hash == active) {
            Some(revision) => revision.ready,
            None => self.ready(),
        }
    }

    /// Whether all is known of its scaling: it was decided, or cannot be.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.decided || self.obstacle.is_some()
    }

    /// Whether the declared revision is the only one that has pods.
    #[must_use]
    pub fn is_rolled_out(&self) -> bool {
        self.outdated == 0
            && self.revisions.iter().any(|revision| revision.hash == self.target)
            && self.revisions.iter().all(|revision| revision.hash == self.target || revision.pods == 0)
    }

    /// The rollout whose new revision is a canary now.
    #[must_use]
    pub fn canary(&self) -> Option<&RolloutStatus> {
        self.rollout.as_ref().filter(|rollout| rollout.phase == RolloutPhase::Progressing)
    }

    /// The rollout whose new revision was aborted.
    #[must_use]
    pub fn aborted(&self) -> Option<&RolloutStatus> {
        self.rollout.as_ref().filter(|rollout| rollout.phase == RolloutPhase::Aborted)
    }

    /// Whether enough pods are ready for the component to be up. It does not depend on load: a component that grows
    /// towards a larger number is not down.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.serving() >= self.min
    }

    /// The problem that keeps desired replicas from being ready.
    #[must_use]
    pub fn shortage(&self) -> Option<Failure> {
        let (ready, desired) = (self.serving(), self.desired);
        let problem =
            self.problem.as_ref().or(self.problem_of_others.as_ref()).filter(|_| ready < desired)?;
        let message = format!("{ready} of {desired} replicas are ready: {}", problem.message);
        Some(Failure { reason: problem.reason, message })
    }

    /// Whether the declared revision exceeded its progress deadline.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.revisions
            .iter()
            .any(|revision| revision.hash == self.target && deadline_exceeded(&revision.workload))
    }

    /// The limits of `desired` as one text, for example `MaxReplicas`, cut to the maximum of the status.
    #[must_use]
    pub fn limited_by_names(&self) -> String {
        let names: Vec<&str> = self.limited_by.iter().map(|reason| reason.name).collect();
        clip(&names.join(", "), limits::LIMITED_BY).into_owned()
    }
}

/// The failure in `Ready` for a generation that is not applied, or not known to be.
const UNAPPLIED: [Reason; 6] = [
    reason::INVALID_SPEC,
    reason::UNREADABLE,
    reason::NAME_TAKEN,
    reason::CHILD_REFUSED,
    reason::CHILD_NOT_WRITTEN,
    reason::PAUSED,
];

/// Whether a generation was applied, as far as is known.
#[must_use]
pub fn was_applied(known: Option<&ScalableAppStatus>, generation: i64) -> bool {
    let mut conditions = known.into_iter().flat_map(|status| &status.conditions);
    let ready = conditions.find(|condition| condition.type_ == condition_type::READY);
    ready.is_some_and(|ready| {
        ready.observed_generation == generation && UNAPPLIED.iter().all(|one| one.name != ready.reason)
    })
}
