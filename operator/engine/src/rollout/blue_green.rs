//! A blue-green rollout: two whole revisions, and one switch of all requests from one to the other. Pure.
//!
//! 1. The stable revision keeps the desired replicas until the end of the hold. So it can take all requests back at any
//!    time, without a new pod.
//! 2. The new revision has the pods of the preview, then the desired replicas, both in addition.
//! 3. All requests go to it at once, when all of its pods are available, and it was promoted where that is asked for.
//! 4. The hold begins when the Service is seen to select it. After the hold it is the stable revision, and the earlier one
//!    loses its pods.
//! 5. An abort, or an edit back, sends all requests to the stable revision at once. An aborted revision gets no pods, and is
//!    not tried again until somebody asks for it.
//! 6. A revision that requests still come to keeps its pods: until the Service does not select it, and 10 s longer, in which
//!    proxies learn that.
//! 7. A revision that was stable before needs no preview and no approval.

use crate::rollout::act::{Act, RolloutAct};
use crate::rollout::canary;
use crate::rollout::memory::{RolloutMemory, RolloutState, Situation, Trial, with_hold};
use crate::rollout::rolling::Revision;
use jiff::{SignedDuration, Timestamp};
use scalableapp_crds as api;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Time in which proxies and gateways learn that a Service has other pods.
const LEARNT: SignedDuration = SignedDuration::from_secs(10);
/// Preview, all pods, hold.
const STEPS: i32 = 3;
const PREVIEW: usize = 0;
const ALL_PODS: usize = 1;
const HOLD: usize = 2;

/// A declared blue-green rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreen {
    /// Pods of the preview, at least 1; `None` for the desired replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_replicas: Option<i32>,
    /// Time after the switch in which the stable revision keeps its pods; 10 s where it is less.
    pub hold: SignedDuration,
    /// Whether somebody has to promote it before the switch.
    pub approval: bool,
}

/// What the Service was last seen to select.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Selected {
    /// Hash of the revision; `None` for all of them.
    revision: Option<String>,
    since: Timestamp,
}

impl RolloutMemory {
    /// Advances a blue-green rollout to this moment.
    pub(crate) fn follow_blue_green(
        &mut self,
        declared: &BlueGreen,
        situation: &Situation<'_>,
    ) -> RolloutState {
        let act = self.next_act(situation.acts);
        if let Some(trial) = self.trial.as_mut().filter(|_| self.active.is_none()) {
            // What a canary of this revision has reached counts for nothing here.
            (trial.step, trial.step_begun) = (PREVIEW, None);
        }
        self.find_stable(situation);
        self.note_selected(situation);
        let state = self.turn(declared, act, situation);
        let keeps = self.keeps(situation.now);
        let active = self.active.clone().unwrap_or_default();
        RolloutState { status: api::RolloutStatus { active, ..state.status }, keeps, ..state }
    }

    fn turn(&mut self, blue_green: &BlueGreen, act: Option<&Act>, situation: &Situation<'_>) -> RolloutState {
        let declared = situation.declared;
        if self.stable.is_empty() {
            self.active = None;
            return self.complete(String::new());
        }
        self.retry(act, declared);
        self.find_active(situation);
        if self.stable == declared {
            let message = self.take_back(situation);
            return self.complete(message);
        }
        if let Some(rejected) = self.rejected.iter().find(|one| one.revision == declared) {
            let message = rejected.message.clone();
            if let Some(act) = act {
                self.answer(false, act.after_abort(declared));
            }
            let state = self.aborted(declared, message);
            return self.back(state, situation);
        }
        let trial = self.trial.take().filter(|one| one.canary == declared && one.stable == self.stable);
        let was_stable = self.earlier.iter().any(|one| one == declared);
        let trial = trial.unwrap_or_else(|| Trial {
            canary: declared.to_owned(),
            stable: self.stable.clone(),
            step: if was_stable { ALL_PODS } else { PREVIEW },
            begun: situation.now,
            step_begun: None,
        });
        if let Some(Act { act: RolloutAct::Abort, by, reason, .. }) = act {
            self.answer(true, format!("{by} aborted revision {declared} at {}", place(&trial)));
            let state = self.reject(declared, format!("{by} aborted it: {reason}."));
            return self.back(state, situation);
        }
        self.advance_blue_green(blue_green, trial, act, situation)
    }

    fn advance_blue_green(
        &mut self,
        blue_green: &BlueGreen,
        mut trial: Trial,
        act: Option<&Act>,
        situation: &Situation<'_>,
    ) -> RolloutState {
        let Situation { declared, desired, hold, .. } = *situation;
        let own = find(situation.revisions, declared);
        let (replicas, serving) = (own.map_or(0, |one| one.replicas), own.map_or(0, Revision::serving));
        if self.active.is_none() {
            let message = format!("It waits until revision {} has all of its pods.", self.stable);
            return self.in_step(trial, replicas, message);
        }
        let is_switched = self.active.as_deref() == Some(declared);
        trial.step = if is_switched { HOLD } else { trial.step.min(ALL_PODS) };
        let promoter = act.filter(|one| matches!(one.act, RolloutAct::Promote { .. }));
        if let Some(Act { by, .. }) = promoter {
            self.answer(true, format!("{by} promoted revision {declared} at {}", place(&trial)));
        }
        if is_switched {
            return self.held(blue_green, trial, promoter, situation);
        }
        self.take_back(situation);
        if trial.step == PREVIEW {
            let pods = blue_green.preview_replicas.unwrap_or(desired).clamp(1, desired.max(1));
            if serving >= pods {
                trial.step_begun.get_or_insert(situation.now);
            }
            let waits = blue_green.approval || hold.is_some() || serving < pods;
            if promoter.is_none() && waits {
                let message = preview_waits_for(&trial, blue_green.approval);
                return self.in_step(trial, pods, with_hold(hold, message));
            }
            (trial.step, trial.step_begun) = (ALL_PODS, None);
        }
        if serving < desired || (hold.is_some() && promoter.is_none()) {
            let message = with_hold(hold, "It waits until all of its pods are available.");
            return self.in_step(trial, desired, message);
        }
        self.active = Some(declared.to_owned());
        self.held(blue_green, Trial { step: HOLD, step_begun: None, ..trial }, None, situation)
    }

    /// After the switch.
    fn held(
        &mut self,
        blue_green: &BlueGreen,
        mut trial: Trial,
        promoter: Option<&Act>,
        situation: &Situation<'_>,
    ) -> RolloutState {
        let Situation { now, declared, desired, hold, .. } = *situation;
        if let Some(Act { by, reason, .. }) = promoter {
            self.succeed(declared);
            return self.complete(format!("{by} promoted revision {declared}: {reason}."));
        }
        if self.selected.as_ref().and_then(|one| one.revision.as_deref()) == Some(declared) {
            trial.step_begun.get_or_insert(now);
        }
        let until = trial.step_begun.and_then(|begun| begun.checked_add(blue_green.hold.max(LEARNT)).ok());
        let message = match until {
            Some(until) if now >= until && hold.is_none() => {
                self.succeed(declared);
                return self.complete(String::new());
            }
            Some(until) => {
                format!("It has all requests. Revision {} keeps its pods until {until:.0}.", trial.stable)
            }
            None => "It waits until the Service selects it.".to_owned(),
        };
        self.in_step(trial, desired, with_hold(hold, &message))
    }

    fn in_step(&mut self, trial: Trial, pods: i32, message: String) -> RolloutState {
        let status = api::RolloutStatus {
            steps: STEPS,
            weight: if trial.step == HOLD { 100 } else { 0 },
            message,
            ..self.progress(&trial)
        };
        self.trial = Some(trial);
        RolloutState { status, pods, ..RolloutState::default() }
    }

    /// The state of an aborted revision, which loses its requests.
    fn back(&mut self, mut state: RolloutState, situation: &Situation<'_>) -> RolloutState {
        let waits = self.take_back(situation);
        if !waits.is_empty() {
            state.status.message = format!("{} {waits}", state.status.message);
        }
        state
    }

    /// Forgets the revision that requests go to if it is gone. All pods get requests until the stable revision has all of
    /// its pods, or no other one has any.
    fn find_active(&mut self, situation: &Situation<'_>) {
        let Situation { declared, revisions, desired, .. } = *situation;
        let is_there =
            |active: &String| active == declared || revisions.iter().any(|one| one.hash == *active);
        self.active = self.active.take().filter(is_there);
        self.reconsider(situation);
        if self.active.is_none() {
            let is_stable = |one: &&Revision| one.hash == self.stable;
            let (stable, others): (Vec<_>, Vec<_>) = revisions.iter().partition(is_stable);
            let has_all = stable.iter().any(|one| one.serving() >= desired);
            let is_alone = others.iter().all(|one| one.serving() == 0);
            self.active = (has_all || is_alone).then(|| self.stable.clone());
        }
    }

    /// Takes back a switch that the Service does not show yet, where the pods of the revision are gone meanwhile.
    fn reconsider(&mut self, situation: &Situation<'_>) {
        let Situation { revisions, desired, selected, .. } = *situation;
        let Some(active) = self.active.as_deref().filter(|active| selected != Some(*active)) else { return };
        let serving = find(revisions, active).map_or(0, Revision::serving);
        let is_back = active == self.stable;
        match selected.and_then(|hash| find(revisions, hash)) {
            Some(selected) if is_back && is_enough_to_take_back(serving, selected.serving(), desired) => {}
            Some(selected) if is_back => self.active = Some(selected.hash.clone()),
            selected if serving < desired => self.active = selected.map(|one| one.hash.clone()),
            _ => {}
        }
    }

    /// Sends all requests to the stable revision again, unless too few of its pods serve; then it says so.
    fn take_back(&mut self, situation: &Situation<'_>) -> String {
        let serving = |hash: &str| find(situation.revisions, hash).map_or(0, Revision::serving);
        let Some(active) = self.active.as_deref().filter(|active| *active != self.stable) else {
            return String::new();
        };
        if is_enough_to_take_back(serving(&self.stable), serving(active), situation.desired) {
            self.active = Some(self.stable.clone());
            return String::new();
        }
        format!(
            "Requests still go to revision {active}, until pods of revision {} are available.",
            self.stable
        )
    }

    fn note_selected(&mut self, situation: &Situation<'_>) {
        let (revision, now) = (situation.selected, situation.now);
        let since = self.selected.take().filter(|known| known.revision.as_deref() == revision);
        // The clock may have been set back.
        let since = since.map_or(now, |known| known.since.min(now));
        self.selected = Some(Selected { revision: revision.map(str::to_owned), since });
    }

    /// Whether requests may still come to a revision that is to have none.
    fn keeps(&self, now: Timestamp) -> bool {
        self.selected
            .as_ref()
            .is_none_or(|known| known.revision != self.active || now.duration_since(known.since) < LEARNT)
    }
}

/// What a preview waits for.
fn preview_waits_for(trial: &Trial, approval: bool) -> &'static str {
    match (trial.step_begun, approval) {
        (None, _) => "It waits until the pods of the preview are available.",
        (Some(_), true) => "It waits until somebody promotes it.",
        (Some(_), false) => "It waits until all pods of the preview are available again.",
    }
}

/// Whether so many pods of the stable revision can take the requests from those of another one. Half of them are enough:
/// the other one was aborted, or is no longer declared.
fn is_enough_to_take_back(stable: i32, other: i32, desired: i32) -> bool {
    stable > 0 && (stable >= other || stable.saturating_mul(2) >= desired)
}

fn place(trial: &Trial) -> String {
    format!("step {} of {STEPS}", trial.step + 1)
}

fn find<'a>(revisions: &'a [Revision], hash: &str) -> Option<&'a Revision> {
    revisions.iter().find(|one| one.hash == hash)
}

/// The replicas of each revision. The declared one is among `revisions`. Until one alone gets requests, it is the plan of a
/// canary.
pub(crate) fn plan(
    state: &RolloutState,
    declared: &str,
    revisions: &[Revision],
    desired: i32,
    rolling: impl FnOnce(&[Revision]) -> BTreeMap<String, i32>,
) -> BTreeMap<String, i32> {
    let api::RolloutStatus { stable, active, .. } = &state.status;
    if active.is_empty() {
        return canary::plan(state, declared, revisions, rolling);
    }
    let planned = |one: &Revision| {
        let replicas = if one.hash == *active || one.hash == *stable {
            desired
        } else if one.hash == declared {
            state.pods
        } else {
            0
        };
        if state.keeps { replicas.max(one.replicas.min(desired)) } else { replicas }
    };
    revisions.iter().map(|one| (one.hash.clone(), planned(one))).collect()
}

/// The revisions in the order in which they grow where not all may: the one that requests go to comes first, and the new
/// one last, because its pods may never serve.
pub(crate) fn by_need(state: &RolloutState, declared: &str, revisions: &[Revision]) -> Vec<Revision> {
    let active = state.status.active.as_str();
    let mut sorted: Vec<Revision> = revisions
        .iter()
        .map(|one| Revision { is_target: one.hash == declared && declared != active, ..one.clone() })
        .collect();
    sorted.sort_by_key(|one| one.hash != active);
    sorted
}

/// Whether the new revision cannot get its pods, because what is shared has no room for them.
pub(crate) fn waits(
    state: &RolloutState,
    declared: &str,
    revisions: &[Revision],
    growth: Option<i32>,
) -> bool {
    let replicas = find(revisions, declared).map_or(0, |one| one.replicas);
    growth.is_some_and(|growth| growth <= 0) && state.pods > replicas
}
