//! The memory that canaries and blue-green rollouts share: which revision is stable, which one is tried, and what people
//! asked. Pure.

use crate::evidence::canary::CanaryReading;
use crate::rollout::act::{Act, RolloutAct};
use crate::rollout::blue_green::Selected;
use crate::rollout::rolling::Revision;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use scalableapp_crds as api;
use scalableapp_crds::limits::{EARLIER_REVISIONS, REJECTED_REVISIONS, ROLLOUT_ACTS};
use serde::{Deserialize, Serialize};

/// The memory of a component's rollouts. It survives a restart as the `rollout` of the component's status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutMemory {
    /// Hash of the stable revision; empty until one had an available pod.
    pub(super) stable: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trial: Option<Trial>,
    /// Hash of the revision that all requests of a blue-green rollout go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) active: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) selected: Option<Selected>,
    /// Hashes of the revisions that were stable before, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) earlier: Vec<String>,
    /// Newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) rejected: Vec<Rejected>,
    /// What became of the overrides in force, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    acts: Vec<api::TakenAct>,
}

/// A canary or a blue-green rollout in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// Hash of the new revision.
    pub canary: String,
    /// Hash of the revision that it is compared with.
    pub stable: String,
    /// Index of the step, from 0 on.
    pub step: usize,
    /// When the rollout began.
    pub begun: Timestamp,
    /// When the pods of the step were available; `None` until then.
    pub step_begun: Option<Timestamp>,
}

/// An aborted revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rejected {
    pub(super) revision: String,
    pub(super) message: String,
}

/// What a rollout depends on beside its memory.
#[derive(Clone, Copy)]
pub(crate) struct Situation<'a> {
    pub(crate) now: Timestamp,
    /// Hash of the declared revision.
    pub(crate) declared: &'a str,
    pub(crate) revisions: &'a [Revision],
    /// Desired replicas of the component.
    pub(crate) desired: i32,
    pub(crate) reading: Option<&'a CanaryReading>,
    pub(crate) acts: &'a [Act],
    /// Who holds the canary at its step, in words.
    pub(crate) hold: Option<&'a str>,
    /// Hash of the revision that the Service selects; `None` where it selects all.
    pub(crate) selected: Option<&'a str>,
}

/// Where a rollout is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolloutState {
    /// What the status says.
    pub status: api::RolloutStatus,
    /// Pods that the canary is to have; 0 where it has none of its own.
    pub pods: i32,
    /// The pod of the canary that alone makes it look worse, and is to be replaced.
    pub sick_pod: Option<String>,
    /// Whether pods stay that may still get requests of a blue-green rollout.
    pub(crate) keeps: bool,
}

impl RolloutState {
    /// Hash of the revision that is to have the desired replicas.
    pub(super) fn main<'a>(&'a self, declared: &'a str) -> &'a str {
        if self.status.stable.is_empty() { declared } else { &self.status.stable }
    }

    /// Whether the declared revision has the desired replicas, or is to get them.
    pub(crate) fn is_complete(&self) -> bool {
        self.status.phase == api::RolloutPhase::Complete
    }
}

impl RolloutMemory {
    /// The memory of a new process.
    #[must_use]
    pub fn restore(known: &api::RolloutStatus) -> Self {
        let rejected = known
            .rejected
            .iter()
            .map(|one| Rejected { revision: one.hash.clone(), message: one.message.clone() });
        let trial = || {
            Some(Trial {
                canary: known.canary.clone(),
                stable: known.stable.clone(),
                step: usize::try_from(known.step - 1).ok()?,
                begun: known.begun.as_ref()?.0,
                step_begun: known.step_begun.as_ref().map(|time| time.0),
            })
        };
        Self {
            stable: known.stable.clone(),
            active: Some(known.active.clone()).filter(|active| !active.is_empty()),
            selected: None,
            trial: if known.phase == api::RolloutPhase::Progressing { trial() } else { None },
            earlier: known.earlier.clone(),
            rejected: rejected.collect(),
            acts: known.acts.clone(),
        }
    }

    /// The canary in progress.
    #[must_use]
    pub fn trial(&self) -> Option<&Trial> {
        self.trial.as_ref()
    }

    /// Whether there is nothing to remember.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The stable revision, where it is gone or was never known: the declared one if it is up, or else the one with the most
    /// available pods. A revision that never had an available pod is not stable, so its successor replaces it at once.
    pub(super) fn find_stable(&mut self, situation: &Situation<'_>) {
        let Situation { declared, revisions, desired, .. } = *situation;
        if revisions.iter().any(|one| one.hash == self.stable) {
            return;
        }
        let is_up = |one: &&Revision| one.hash == declared && one.available >= desired;
        let serving = revisions.iter().filter(|one| one.available > 0);
        let stable = revisions.iter().find(is_up).or(serving.max_by_key(|one| one.available));
        self.stable = stable.map(|one| one.hash.clone()).unwrap_or_default();
    }

    /// Another revision is the stable one.
    pub(super) fn succeed(&mut self, revision: &str) {
        let before = std::mem::replace(&mut self.stable, revision.to_owned());
        self.earlier.retain(|one| one != revision && *one != before);
        self.earlier.insert(0, before);
        self.earlier.truncate(EARLIER_REVISIONS);
    }

    /// The oldest act that was not taken yet. It counts as taken, even without effect.
    pub(super) fn next_act<'a>(&mut self, acts: &'a [Act]) -> Option<&'a Act> {
        self.acts.retain(|taken| acts.iter().any(|one| one.uid == taken.uid));
        let act = acts.iter().find(|one| self.acts.iter().all(|taken| taken.uid != one.uid))?;
        if self.acts.len() >= ROLLOUT_ACTS {
            return None;
        }
        let message = act.without_rollout().to_owned();
        self.acts.push(api::TakenAct { uid: act.uid.clone(), acted: false, message });
        Some(act)
    }

    /// What became of the act that was taken last.
    pub(super) fn answer(&mut self, acted: bool, message: String) {
        if let Some(taken) = self.acts.last_mut() {
            (taken.acted, taken.message) = (acted, message);
        }
    }

    pub(super) fn retry(&mut self, act: Option<&Act>, declared: &str) {
        let Some(Act { act: RolloutAct::Retry, by, .. }) = act else { return };
        let is_this = |one: &Rejected| one.revision == declared;
        if self.rejected.iter().any(is_this) {
            self.rejected.retain(|one| !is_this(one));
            self.answer(true, format!("{by} had revision {declared} tried again"));
        }
    }

    /// The end by an abort.
    pub(super) fn reject(&mut self, declared: &str, message: String) -> RolloutState {
        self.rejected.retain(|one| one.revision != declared);
        self.rejected.insert(0, Rejected { revision: declared.to_owned(), message: message.clone() });
        self.rejected.truncate(REJECTED_REVISIONS);
        self.aborted(declared, message)
    }

    /// The status of a rollout in progress, without what its strategy knows.
    pub(super) fn progress(&self, trial: &Trial) -> api::RolloutStatus {
        api::RolloutStatus {
            phase: api::RolloutPhase::Progressing,
            canary: trial.canary.clone(),
            step: number(trial.step + 1),
            begun: Some(Time(trial.begun)),
            step_begun: trial.step_begun.map(Time),
            ..self.status()
        }
    }

    pub(super) fn aborted(&mut self, declared: &str, message: String) -> RolloutState {
        self.trial = None;
        let status = api::RolloutStatus {
            phase: api::RolloutPhase::Aborted,
            canary: declared.to_owned(),
            message,
            ..self.status()
        };
        RolloutState { status, pods: 0, ..RolloutState::default() }
    }

    pub(super) fn complete(&mut self, message: String) -> RolloutState {
        self.trial = None;
        RolloutState { status: api::RolloutStatus { message, ..self.status() }, ..RolloutState::default() }
    }

    fn status(&self) -> api::RolloutStatus {
        let rejected = self
            .rejected
            .iter()
            .map(|one| api::RejectedRevision { hash: one.revision.clone(), message: one.message.clone() });
        api::RolloutStatus {
            stable: self.stable.clone(),
            earlier: self.earlier.clone(),
            rejected: rejected.collect(),
            acts: self.acts.clone(),
            ..api::RolloutStatus::default()
        }
    }
}

pub(super) fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// What a step waits for, with who holds it before that.
pub(super) fn with_hold(hold: Option<&str>, message: &str) -> String {
    let held = hold.map(|who| format!("{who}. ")).unwrap_or_default();
    held + message
}
