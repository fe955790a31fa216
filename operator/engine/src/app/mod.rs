//! The decision for one app: its stages in order. Pure.

pub(crate) mod circuits;
pub(crate) mod component;
pub(crate) mod decision;
pub(crate) mod ejection;
pub(crate) mod explain;
pub(crate) mod limits;
pub(crate) mod recommendation;
pub(crate) mod subject;

use crate::allot::allot;
use crate::allot::connections::ConnectionsMemory;
use crate::bounds::diagnosis::Waiting;
use crate::input::Input;
use crate::memory::{AppMemory, ComponentMemory, Memory};
use crate::rollout::memory::{RolloutMemory, RolloutState, Situation};
use crate::rollout::{self, Plan};
use circuits::Circuits;
use component::{Bounded, Proposed, bound, propose, stabilize};
use decision::{ComponentDecision, Decision};
use ejection::ejected;
use std::collections::BTreeMap;
use subject::Subject;

/// Decides one app: the replicas of each component, and the next safe step towards them.
#[must_use]
pub fn decide(input: &Input<'_>) -> Decision {
    let mut memory = input.memory.clone();
    let proposed: Vec<Proposed<'_>> = subjects(input, &mut memory);
    let circuits = Circuits::of(input);
    memory.diagnosis.follow(input);
    let waiting = Waiting::of(input);
    let mut bounded: Vec<Bounded<'_>> =
        proposed.into_iter().map(|one| bound(one, &circuits, &waiting)).collect();
    let demands = allot(input, &mut bounded, &mut memory);
    let (mut components, mut plan) = (BTreeMap::new(), Plan::default());
    for mut one in bounded {
        let Proposed { subject, memory: remembered, .. } = &mut one.proposed;
        let Memory { circuits: held, ejections, .. } = &mut *remembered.scaling;
        let ejected = ejected(input, subject, &circuits, held, ejections);
        let Subject { name, declared, observed, .. } = one.proposed.subject;
        let room = one.room;
        let (decision, mut remembered) = stabilize(one);
        let desired = decision.desired;
        let canary = canary(input, name, desired, &mut remembered);
        let waits = rollout::waits(desired, declared, observed, room, canary.as_ref());
        plan.places.insert(name.to_owned(), declared.workload.place());
        let replicas = rollout::replicas(desired, declared, observed, room, canary.as_ref());
        plan.replicas.insert(name.to_owned(), replicas);
        let decision = ComponentDecision { ejected, rollout_waits: waits, canary, ..decision };
        memory.components.insert(name.to_owned(), remembered);
        components.insert(name.to_owned(), decision);
    }
    let sizes = memory.connections.values().flat_map(ConnectionsMemory::sizes);
    let pools = sizes.map(|(name, size)| (name.clone(), size)).collect();
    let bottleneck = memory.diagnosis.standing().cloned();
    Decision { components, bottleneck, plan, pools, demands, memory }
}

/// Where the canary or the blue-green rollout of a component is, if it declares one.
fn canary(input: &Input<'_>, name: &str, desired: i32, memory: &mut ComponentMemory) -> Option<RolloutState> {
    let declared = input.stack.components.get(name)?;
    let observed = input.state.components.get(name)?;
    if declared.canary.is_none() && declared.blue_green.is_none() {
        memory.rollout = RolloutMemory::default();
        return None;
    }
    let reading = input.evidence.canary(name);
    let situation = Situation {
        now: input.now,
        declared: &declared.revision,
        revisions: &observed.revisions,
        desired,
        reading: reading.as_deref(),
        acts: input.limits.acts.get(name).map_or(&[], Vec::as_slice),
        hold: input.limits.rollout_holds.get(name).map(String::as_str),
        selected: observed.selected.as_deref(),
    };
    match (&declared.blue_green, &declared.canary) {
        (Some(blue_green), _) => Some(memory.rollout.follow_blue_green(blue_green, &situation)),
        (None, Some(canary)) => Some(memory.rollout.follow(canary, &situation)),
        (None, None) => None,
    }
}

/// The components to decide, after PROPOSE. The memory of the others stays, except for recommendations that nobody acts
/// on.
fn subjects<'a>(input: &Input<'a>, memory: &mut AppMemory) -> Vec<Proposed<'a>> {
    memory.components.retain(|name, _| input.stack.components.contains_key(name));
    let mut proposed = Vec::with_capacity(input.stack.components.len());
    for (name, declared) in &input.stack.components {
        let Some(observed) = input.state.components.get(name) else { continue };
        match observed.undecided {
            Some(why) if why.forgets_recommendations() => {
                memory.components.get_mut(name).into_iter().for_each(|one| one.forget_recommendations());
            }
            Some(_) => {}
            None => {
                let mut remembered = memory.components.remove(name).unwrap_or_default();
                let subject = Subject::of(input, name, declared, observed, &mut remembered);
                proposed.push(propose(subject, remembered));
            }
        }
    }
    proposed
}
