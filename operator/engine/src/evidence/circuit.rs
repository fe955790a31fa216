//! The circuit breakers that the pods of a component have for one dependency, and what they say of it. Pure.
//!
//! A breaker that most pods see open is a problem of the dependency. One that only a few see open is a problem of these
//! pods. A breaker without a fresh and plausible state is not closed: it neither begins nor ends anything.

use crate::evidence::sample::judge_time;
use crate::hpa::pod::Pod;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state of a circuit breaker, as its pod reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CircuitState {
    /// Calls are let through.
    Closed,
    /// A few calls are let through, as probes.
    HalfOpen,
    /// No call is let through.
    Open,
    /// Calls are let through up to a limit of concurrency, which is full. That is no fault of the dependency.
    Saturated,
    /// What is reported cannot be true: no state or several states at the same time, or a state that never ends.
    Implausible,
}

/// The breaker of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodCircuit {
    /// Its state.
    pub state: CircuitState,
    /// Time of the sample; `None` if not known.
    pub at: Option<Timestamp>,
}

/// The breakers for one dependency, by the name of the pod. A pod without one is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CircuitReading {
    /// The breakers.
    pub pods: BTreeMap<String, PodCircuit>,
}

/// Numbers of pods by what their breakers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitCount {
    /// Pods with an open or half-open breaker.
    pub open: u32,
    /// Pods with a closed breaker.
    pub closed: u32,
    /// Pods that have been ready for long enough to report, and have no fresh and plausible state.
    pub unknown: u32,
}

/// What the breakers of a component say of a dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No pod has been ready for long enough to report.
    NotYet,
    /// More than half of the pods report a closed breaker.
    Well,
    /// As [`Self::Well`], and a few pods report an open one.
    OpenOnSomePods {
        /// Their names, in order.
        pods: Vec<String>,
    },
    /// At least half of the pods that report have an open or half-open breaker, or still half of those that had one.
    Degraded(CircuitCount),
    /// Too few pods report a state.
    Unknown(CircuitCount),
    /// No pod reports, which is usual for a breaker that appears with its first call.
    NotCalled,
}

impl CircuitCount {
    /// Pods with a state.
    #[must_use]
    pub fn known(self) -> u32 {
        self.open + self.closed
    }

    /// `begun` are the pods that had an open breaker while the dependency was degraded; 0 where it was not.
    fn is_degraded(self, begun: u32) -> bool {
        let of_all = 2 * self.open >= self.known();
        self.open > 0 && (of_all || (begun > 0 && 2 * self.open >= begun))
    }

    fn is_well(self) -> bool {
        2 * self.closed > self.known() + self.unknown
    }
}

/// The state of a pod's breaker, if it is fresh and plausible.
#[must_use]
pub(crate) fn fresh_state(
    reading: Option<&CircuitReading>,
    pod: &Pod,
    now: Timestamp,
    max_age: SignedDuration,
) -> Option<CircuitState> {
    let circuit = reading?.pods.get(&*pod.name)?;
    judge_time(circuit.at, now, max_age).ok()?;
    Some(circuit.state).filter(|state| *state != CircuitState::Implausible)
}

/// Judges the breakers of a component for one dependency; no reading means that a query was not answered. `pods` are the
/// component's. `appears_late` is whether a breaker is reported from its first call on only. `begun` are the most pods that
/// had an open breaker since the dependency is degraded: with few calls breakers close for want of them. It is 0 where the
/// dependency is not degraded.
#[must_use]
pub fn judge_circuit(
    reading: Option<&CircuitReading>,
    pods: &[Pod],
    (now, max_age): (Timestamp, SignedDuration),
    appears_late: bool,
    begun: u32,
) -> Standing {
    let (mut count, mut open, mut is_uncalled) = (CircuitCount::default(), Vec::new(), false);
    for pod in pods.iter().filter(|pod| !pod.deleting && !pod.phase.has_ended()) {
        let reported = reading.and_then(|reading| reading.pods.get(&*pod.name));
        let fresh = reported.filter(|circuit| judge_time(circuit.at, now, max_age).is_ok());
        match fresh.map(|circuit| circuit.state) {
            Some(CircuitState::Closed | CircuitState::Saturated) => count.closed += 1,
            Some(CircuitState::Open | CircuitState::HalfOpen) => {
                count.open += 1;
                open.push(pod.name.to_string());
            }
            Some(CircuitState::Implausible) => count.unknown += 1,
            // Without a sample the pod has not called yet. An old sample is another matter.
            None if appears_late && reading.is_some() && reported.is_none() => {
                is_uncalled |= pod.is_ready_for(max_age, now);
            }
            None if pod.is_ready_for(max_age, now) => count.unknown += 1,
            None => {}
        }
    }
    match count {
        _ if count.is_degraded(begun) => Standing::Degraded(count),
        _ if count == CircuitCount::default() && is_uncalled => Standing::NotCalled,
        _ if count == CircuitCount::default() => Standing::NotYet,
        _ if !count.is_well() => Standing::Unknown(count),
        _ if count.open == 0 => Standing::Well,
        _ => {
            open.sort_unstable();
            Standing::OpenOnSomePods { pods: open }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpa::pod::{ByResource, Phase, Ready, ReadyStatus};
    use CircuitState::{Closed, HalfOpen, Implausible, Open};

    const MAX_AGE: SignedDuration = SignedDuration::from_secs(60);
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn pod(index: usize, ready_for: SignedDuration) -> Pod {
        Pod {
            name: format!("pod-{index}").into(),
            phase: Phase::Running,
            deleting: false,
            ready: Some(Ready { status: ReadyStatus::True, since: NOW - ready_for }),
            start: None,
            containers: [].into(),
            requests: ByResource::default(),
            usage: ByResource::default(),
        }
    }

    fn pods(number: usize) -> Vec<Pod> {
        (0..number).map(|index| pod(index, MAX_AGE)).collect()
    }

    fn reading(states: &[Option<CircuitState>], at: Option<Timestamp>) -> CircuitReading {
        let circuit = |(index, state): (usize, &Option<CircuitState>)| {
            Some((format!("pod-{index}"), PodCircuit { state: (*state)?, at }))
        };
        CircuitReading { pods: states.iter().enumerate().filter_map(circuit).collect() }
    }

    fn standing(states: &[Option<CircuitState>]) -> Standing {
        judge_circuit(Some(&reading(states, Some(NOW))), &pods(states.len()), (NOW, MAX_AGE), false, 0)
    }

    fn count(open: u32, closed: u32, unknown: u32) -> CircuitCount {
        CircuitCount { open, closed, unknown }
    }

    #[test]
    fn a_breaker_that_half_of_the_pods_see_open_is_a_problem_of_the_dependency() {
        let [closed, half, open] = [Closed, HalfOpen, Open].map(Some);
        assert_eq!(standing(&[open]), Standing::Degraded(count(1, 0, 0)));
        assert_eq!(standing(&[open, closed]), Standing::Degraded(count(1, 1, 0)));
        assert_eq!(standing(&[half, open, closed]), Standing::Degraded(count(2, 1, 0)));
        assert_eq!(standing(&[closed, closed, closed]), Standing::Well);
        assert_eq!(
            standing(&[closed, Some(CircuitState::Saturated)]),
            Standing::Well,
            "a full limit is none"
        );
    }

    #[test]
    fn a_breaker_that_a_few_pods_see_open_is_a_problem_of_these_pods() {
        let [closed, half, open] = [Closed, HalfOpen, Open].map(Some);
        let some = |pods: &[&str]| Standing::OpenOnSomePods {
            pods: pods.iter().map(|one| (*one).to_owned()).collect(),
        };
        assert_eq!(standing(&[closed, closed, open]), some(&["pod-2"]));
        assert_eq!(standing(&[half, closed, closed, closed, open]), some(&["pod-0", "pod-4"]));
    }

    #[test]
    fn a_degraded_dependency_stays_so_while_half_of_the_pods_that_saw_it_do() {
        let states = [Some(Open), Some(Closed), Some(Closed), Some(Closed)];
        let pods = pods(states.len());
        let of =
            |begun| judge_circuit(Some(&reading(&states, Some(NOW))), &pods, (NOW, MAX_AGE), false, begun);
        assert_eq!(of(2), Standing::Degraded(count(1, 3, 0)));
        assert_eq!(of(3), Standing::OpenOnSomePods { pods: vec!["pod-0".to_owned()] });
    }

    #[test]
    fn absent_is_not_closed() {
        let [closed, open] = [Closed, Open].map(Some);
        assert_eq!(standing(&[None, None]), Standing::Unknown(count(0, 0, 2)));
        assert_eq!(standing(&[closed, None]), Standing::Unknown(count(0, 1, 1)), "half is not most of them");
        assert_eq!(standing(&[closed, closed, None]), Standing::Well);
        assert_eq!(standing(&[open, None, None]), Standing::Degraded(count(1, 0, 2)));
        assert_eq!(standing(&[open, closed, closed, None, None]), Standing::Unknown(count(1, 2, 2)));
        assert_eq!(judge_circuit(None, &pods(1), (NOW, MAX_AGE), true, 0), Standing::Unknown(count(0, 0, 1)));
    }

    #[test]
    fn a_state_that_cannot_be_true_or_is_old_is_none() {
        assert_eq!(standing(&[Some(Implausible)]), Standing::Unknown(count(0, 0, 1)));
        for at in [None, Some(NOW - MAX_AGE * 2), Some(NOW + MAX_AGE * 2)] {
            for state in [Open, Closed] {
                let stale =
                    judge_circuit(Some(&reading(&[Some(state)], at)), &pods(1), (NOW, MAX_AGE), false, 0);
                assert_eq!(stale, Standing::Unknown(count(0, 0, 1)), "{state:?} {at:?}");
            }
        }
    }

    #[test]
    fn pods_that_could_not_report_yet_are_not_missed() {
        let young = [pod(0, SignedDuration::ZERO)];
        let judged = |states: &[Option<CircuitState>]| {
            judge_circuit(Some(&reading(states, Some(NOW))), &young, (NOW, MAX_AGE), false, 0)
        };
        assert_eq!(judged(&[None]), Standing::NotYet);
        assert_eq!(judged(&[Some(Open)]), Standing::Degraded(count(1, 0, 0)));
        let leaving =
            [Pod { deleting: true, ..pod(0, MAX_AGE) }, Pod { phase: Phase::Failed, ..pod(1, MAX_AGE) }];
        let open = reading(&[Some(Open), Some(Open)], Some(NOW));
        assert_eq!(judge_circuit(Some(&open), &leaving, (NOW, MAX_AGE), false, 0), Standing::NotYet);
    }

    #[test]
    fn a_breaker_that_appears_with_its_first_call_may_be_missing_on_every_pod() {
        let none = CircuitReading::default();
        assert_eq!(judge_circuit(Some(&none), &pods(2), (NOW, MAX_AGE), true, 0), Standing::NotCalled);
        let one = reading(&[Some(Closed), None, None], Some(NOW));
        assert_eq!(judge_circuit(Some(&one), &pods(3), (NOW, MAX_AGE), true, 0), Standing::Well);
        let old = reading(&[Some(Closed), Some(Closed), None], Some(NOW - MAX_AGE * 2));
        assert_eq!(
            judge_circuit(Some(&old), &pods(3), (NOW, MAX_AGE), true, 0),
            Standing::Unknown(count(0, 0, 2))
        );
    }
}
