//! What the circuit breakers of all components say of their dependencies, and which callers are silent. Pure.

use crate::evidence::circuit::{Standing, judge_circuit};
use crate::input::Input;
use crate::stack::Component;
use crate::state::Observed;
use std::collections::{BTreeMap, BTreeSet};

/// The circuits of each component that calls something or is called.
#[derive(Default)]
pub(crate) struct Circuits<'a>(BTreeMap<&'a str, OfComponent<'a>>);

/// The circuits of one component.
pub(crate) struct OfComponent<'a> {
    /// What its breakers say, by the name of the dependency.
    pub(crate) calls: BTreeMap<&'a str, Standing>,
    /// Whether its callers call as they usually do.
    pub(crate) callers: Voice<'a>,
}

/// Whether the callers of a component, and theirs, call as they usually do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Voice<'a> {
    /// It has none.
    NoCallers,
    /// They do.
    Back,
    /// It is not known.
    Unknown,
    /// These do not.
    Silent(Vec<&'a str>),
}

impl<'a> Circuits<'a> {
    /// Reads the breakers of all components that have some.
    pub(crate) fn of(input: &Input<'a>) -> Self {
        let components = &input.stack.components;
        if components.values().all(|declared| declared.calls.is_empty()) {
            return Self::default();
        }
        let calls =
            components.iter().map(|(name, declared)| (name.as_str(), standings(input, name, declared)));
        let calls: BTreeMap<&str, BTreeMap<&str, Standing>> = calls.collect();
        let voices: BTreeMap<&str, Voice<'a>> = components
            .iter()
            .map(|(name, one)| (name.as_str(), voice(input, name, one, &calls[name.as_str()])))
            .collect();
        let mut circuits = BTreeMap::new();
        for (name, calls) in calls {
            let callers = heard(&upstream(components, name), &voices);
            if !components[name].calls.is_empty() || callers != Voice::NoCallers {
                circuits.insert(name, OfComponent { calls, callers });
            }
        }
        Self(circuits)
    }

    /// The circuits of a component; `None` if it calls nothing and nothing calls it.
    pub(crate) fn of_component(&self, name: &str) -> Option<&OfComponent<'a>> {
        self.0.get(name)
    }
}

fn standings<'a>(input: &Input<'a>, name: &str, declared: &'a Component) -> BTreeMap<&'a str, Standing> {
    let pods = input.state.components.get(name).map_or(&[][..], |observed| &observed.pods);
    let memory = input.memory.components.get(name);
    let standing = |call: &'a String| {
        let dependency = input.stack.dependencies.get(call)?;
        let reading = input.evidence.circuit(name, call);
        let begun = memory.map_or(0, |memory| memory.scaling.circuits.most_open(call));
        let (at, late) = ((input.now, input.evidence.max_age()), dependency.appears_late);
        Some((call.as_str(), judge_circuit(reading.as_deref(), pods, at, late, begun)))
    };
    declared.calls.iter().filter_map(standing).collect()
}

/// Whether a component calls as it usually does.
fn voice<'a>(
    input: &Input<'a>,
    name: &'a str,
    declared: &Component,
    calls: &BTreeMap<&str, Standing>,
) -> Voice<'a> {
    let is_up = input.state.components.get(name).is_some_and(|observed| is_up(declared, observed));
    if !is_up || calls.values().any(|standing| matches!(standing, Standing::Degraded(_))) {
        Voice::Silent(vec![name])
    } else if calls.values().any(|standing| matches!(standing, Standing::Unknown(_))) {
        Voice::Unknown
    } else {
        Voice::Back
    }
}

/// A pool of workers without jobs is not silent because of a fault.
fn is_up(declared: &Component, observed: &Observed) -> bool {
    let replicas: i32 = observed.revisions.iter().map(|revision| revision.replicas).sum();
    (declared.min_replicas == 0 && replicas == 0)
        || observed.pods.iter().any(|pod| pod.is_ready() && !pod.deleting)
}

/// The callers of a component, and theirs. It is not one of them, though it may call itself over others.
fn upstream<'a>(
    components: &'a BTreeMap<String, std::sync::Arc<Component>>,
    callee: &str,
) -> BTreeSet<&'a str> {
    let (mut found, mut next) = (BTreeSet::new(), vec![callee.to_owned()]);
    while let Some(callee_of) = next.pop() {
        for (name, declared) in components {
            if name != callee && declared.calls.contains(&callee_of) && found.insert(name.as_str()) {
                next.push(name.clone());
            }
        }
    }
    found
}

fn heard<'a>(callers: &BTreeSet<&'a str>, voices: &BTreeMap<&'a str, Voice<'a>>) -> Voice<'a> {
    let all = || callers.iter().filter_map(|caller| voices.get_key_value(caller));
    let silent: Vec<&str> =
        all().filter(|(_, voice)| matches!(voice, Voice::Silent(_))).map(|(name, _)| *name).collect();
    if callers.is_empty() {
        Voice::NoCallers
    } else if !silent.is_empty() {
        Voice::Silent(silent)
    } else if all().any(|(_, voice)| *voice == Voice::Unknown) {
        Voice::Unknown
    } else {
        Voice::Back
    }
}
