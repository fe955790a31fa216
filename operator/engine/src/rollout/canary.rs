//! A canary: how the new revision gets its part of the requests, step by step, and how it ends. Pure.
//!
//! 1. The stable revision keeps the desired replicas until the end. So it can take all requests back at any time.
//! 2. The pods of the canary run in addition: of N replicas and a weight w, N × w ÷ (100 − w), rounded up, because the
//!    Service spreads requests over pods; or N × w ÷ 100, rounded up, where a route gives the canary its weight.
//! 3. A step begins when its pods are available. It ends by a verdict: the next step, or the abort. Without enough evidence
//!    it lasts.
//! 4. After the last step the canary is the stable revision, and the rolling plan removes the earlier one.
//! 5. An aborted revision gets no pods, and is not tried again until somebody asks for it.
//! 6. A revision that was stable before takes over at once: a rollback waits for no evidence.

use crate::evidence::canary::CanaryReading;
use crate::rollout::act::{Act, RolloutAct};
use crate::rollout::judge::counts::BadKind;
use crate::rollout::judge::policy::CanaryPolicy;
use crate::rollout::judge::verdict::{Because, CanaryVerdict};
use crate::rollout::memory::{RolloutMemory, RolloutState, Situation, Trial, number, with_hold};
use crate::rollout::rolling::Revision;
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds as api;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Percentage points by which the share of the canary's pods may be above the weight of the step. Beyond it a step does
/// not begin.
const WEIGHT_TOLERANCE: i32 = 10;

/// A declared canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The steps, at least one.
    pub steps: Vec<CanaryStep>,
    /// What it is judged by.
    pub policy: CanaryPolicy,
    /// Seconds above which a request is slow; `None` where latency is not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_above: Option<f64>,
    /// Whether a route gives the canary its weight.
    #[serde(default)]
    pub is_routed: bool,
}

impl Canary {
    /// The most pods of its steps, for this many replicas of the stable revision.
    pub(super) fn most_pods(&self, replicas: i32) -> i32 {
        self.steps.iter().map(|step| step.pods(replicas, self.is_routed)).max().unwrap_or(0)
    }
}

/// A step of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStep {
    /// Percentage of the requests, 1 to 99; at most 50 without a route.
    pub weight: i32,
    /// Least time at this step.
    pub hold: SignedDuration,
}

impl CanaryStep {
    /// Pods of the canary for this many replicas of the stable revision, at least 1.
    fn pods(self, replicas: i32, is_routed: bool) -> i32 {
        let (weight, replicas) = (i64::from(self.weight.clamp(1, 99)), i64::from(replicas.max(1)));
        let of = if is_routed { 100 } else { 100 - weight };
        i32::try_from((replicas * weight + of - 1) / of).unwrap_or(i32::MAX)
    }

    /// Percentage of the pods that are the canary's, if it is too far above the weight. A route realises any weight.
    fn excess(self, replicas: i32, is_routed: bool) -> Option<i32> {
        let pods = self.pods(replicas, is_routed);
        let share = 100 * i64::from(pods) / i64::from(pods.saturating_add(replicas.max(1)));
        let share = i32::try_from(share).ok().filter(|share| share - self.weight > WEIGHT_TOLERANCE);
        share.filter(|_| !is_routed)
    }
}

impl RolloutMemory {
    /// Advances to this moment.
    pub(crate) fn follow(&mut self, canary: &Canary, situation: &Situation<'_>) -> RolloutState {
        let declared = situation.declared;
        let act = self.next_act(situation.acts);
        self.selected = None;
        if self.active.take().is_some() {
            // It was a blue-green rollout.
            self.trial = None;
        }
        self.find_stable(situation);
        if self.stable.is_empty() {
            return self.complete(String::new());
        }
        self.retry(act, declared);
        if self.stable == declared {
            self.trial = None;
            return self.complete(String::new());
        }
        if let Some(rejected) = self.rejected.iter().find(|one| one.revision == declared) {
            let message = rejected.message.clone();
            if let Some(act) = act {
                self.answer(false, act.after_abort(declared));
            }
            return self.aborted(declared, message);
        }
        if self.earlier.iter().any(|one| one == declared) {
            self.succeed(declared);
            return self.complete("It was the stable revision before.".to_owned());
        }
        let trial = self.trial.take().filter(|one| one.canary == declared && one.stable == self.stable);
        let trial = trial.unwrap_or_else(|| Trial {
            canary: declared.to_owned(),
            stable: self.stable.clone(),
            step: 0,
            begun: situation.now,
            step_begun: None,
        });
        self.advance(canary, trial, act, situation)
    }

    fn advance(
        &mut self,
        canary: &Canary,
        mut trial: Trial,
        act: Option<&Act>,
        situation: &Situation<'_>,
    ) -> RolloutState {
        let Situation { now, declared, desired, hold, .. } = *situation;
        trial.step = trial.step.min(canary.steps.len().saturating_sub(1));
        let Some(step) = canary.steps.get(trial.step) else { return self.complete(String::new()) };
        let pods = step.pods(desired, canary.is_routed);
        let are_available =
            situation.revisions.iter().any(|one| one.hash == declared && one.serving() >= pods);
        if are_available {
            trial.step_begun.get_or_insert(now);
        }
        let reading = situation
            .reading
            .filter(|one| one.canary == trial.canary && one.stable == trial.stable && one.step == trial.step);
        let verdict = reading.filter(|_| trial.step_begun.is_some()).map(|one| one.verdict);
        let place = format!("step {} of {}", trial.step + 1, canary.steps.len());
        if let Some(Act { act: RolloutAct::Abort, by, reason, .. }) = act {
            self.answer(true, format!("{by} aborted revision {declared} at {place}"));
            return self.reject(declared, format!("{by} aborted it: {reason}."));
        }
        // What was counted before the pods of the step are available counts, too.
        if let Some(reading) = reading.filter(|one| one.verdict == CanaryVerdict::Abort) {
            return self.reject(declared, reading.sentence.clone());
        }
        if let Some(Act { act: RolloutAct::Promote { full }, by, reason, .. }) = act {
            let next = if *full { canary.steps.len() } else { trial.step + 1 };
            let is_last = next >= canary.steps.len();
            let to = if is_last { "the stable one".to_owned() } else { format!("step {}", next + 1) };
            self.answer(true, format!("{by} promoted revision {declared} from {place} to {to}"));
            let message = format!("{by} promoted revision {declared}: {reason}.");
            return self.promote(canary, trial, next, message, situation);
        }
        let holds_until = trial.step_begun.and_then(|begun| begun.checked_add(step.hold).ok());
        let is_over = holds_until.is_some_and(|until| now >= until);
        if is_over && verdict == Some(CanaryVerdict::Promote) && hold.is_none() {
            let next = trial.step + 1;
            return self.promote(canary, trial, next, String::new(), situation);
        }
        let excess = step.excess(desired, canary.is_routed).filter(|_| trial.step_begun.is_none());
        let message = match excess {
            Some(share) => format!(
                "It waits: with {desired} replicas a pod of the canary has {share}% of the requests, and the weight is {}%. \
                 Raise the weight or minReplicas, or add a route.",
                step.weight
            ),
            None => waits_for(&trial, reading, verdict.and(holds_until)),
        };
        let pods = if excess.is_some() { 0 } else { pods };
        let sick_pod = reading.and_then(|reading| match &reading.because {
            Because::OnePod(pod) => Some(pod.clone()),
            _ => None,
        });
        RolloutState { sick_pod, ..self.progressing(canary, trial, *step, pods, with_hold(hold, &message)) }
    }

    /// The begin of a step, or after the last one the end.
    fn promote(
        &mut self,
        canary: &Canary,
        trial: Trial,
        step: usize,
        message: String,
        situation: &Situation<'_>,
    ) -> RolloutState {
        if step >= canary.steps.len() {
            self.succeed(situation.declared);
            return self.complete(message);
        }
        self.advance(canary, Trial { step, step_begun: None, ..trial }, None, situation)
    }

    fn progressing(
        &mut self,
        canary: &Canary,
        trial: Trial,
        step: CanaryStep,
        pods: i32,
        message: String,
    ) -> RolloutState {
        let status = api::RolloutStatus {
            steps: number(canary.steps.len()),
            weight: step.weight,
            message,
            ..self.progress(&trial)
        };
        self.trial = Some(trial);
        RolloutState { status, pods, ..RolloutState::default() }
    }
}

/// What a step waits for, without numbers that change: they would write the status again and again.
fn waits_for(trial: &Trial, reading: Option<&CanaryReading>, holds_until: Option<Timestamp>) -> String {
    if trial.step_begun.is_none() {
        return "It waits until the pods of the step are available.".to_owned();
    }
    let Some(reading) = reading else { return "It waits for the first evidence.".to_owned() };
    let of = |kind: &BadKind| kind.noun();
    match &reading.because {
        Because::GoodEnough => match holds_until {
            Some(until) => format!("The evidence is enough. The step lasts until {until:.0}."),
            None => "The evidence is enough.".to_owned(),
        },
        Because::TooLittleEvidence(kind) => format!("It waits for more evidence on {}.", of(kind)),
        Because::Worse(kind) | Because::Contested(kind) => {
            format!("It looks worse in {}, but that is not proven yet.", of(kind))
        }
        Because::OnePod(_)
        | Because::DependencyDegraded(_)
        | Because::StableDegraded(_)
        | Because::BreakerOpen(_)
        | Because::NotMeasured
        | Because::NoRequests => reading.sentence.clone(),
    }
}

/// The replicas of each revision: the main one gets the desired replicas by the `rolling` plan, and the canary its pods in
/// addition. The declared revision is among `revisions`.
pub(crate) fn plan(
    state: &RolloutState,
    declared: &str,
    revisions: &[Revision],
    rolling: impl FnOnce(&[Revision]) -> BTreeMap<String, i32>,
) -> BTreeMap<String, i32> {
    let main = state.main(declared);
    let others = revisions.iter().filter(|one| one.hash == main || one.hash != declared);
    let others: Vec<Revision> =
        others.map(|one| Revision { is_target: one.hash == main, ..one.clone() }).collect();
    let mut plan = rolling(&others);
    if declared != main {
        // Even an aborted revision keeps its pods while no other one serves.
        let others_serve = others.iter().any(|one| one.serving() > 0);
        let kept = revisions.iter().find(|one| one.hash == declared && !others_serve);
        plan.insert(declared.to_owned(), kept.map_or(0, |one| one.replicas).max(state.pods));
    }
    plan
}
