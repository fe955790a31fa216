//! The circuit breakers of pods from the answer to a query. Pure.

use super::prometheus::custom::QueryAnswer;
use crate::resolve::app::BreakerQuery;
use scalableapp_engine::evidence::circuit::{CircuitReading, CircuitState, PodCircuit};
use scalableapp_engine::hpa::pod::Pod;
use std::collections::BTreeMap;

/// Why the state of a pod's breaker is not known.
enum Misfit {
    SeveralSeries,
    NotANumber,
    Unlisted,
}

impl BreakerQuery {
    /// The state that a value means.
    fn state(&self, value: f64) -> Result<CircuitState, Misfit> {
        if value.is_nan() {
            return Err(Misfit::NotANumber);
        }
        // The nearest number to a decimal is that to its thousandths over 1000.
        let is_this = |milli: &i64| *milli as f64 / 1000.0 == value;
        self.states.iter().find(|(milli, _)| is_this(milli)).map(|(_, state)| *state).ok_or(Misfit::Unlisted)
    }

    /// The same, where the value means one.
    pub(super) fn state_of(&self, value: f64) -> Option<CircuitState> {
        self.state(value).ok()
    }

    /// The state of each pod, by its name. A series without the label `pod` is of no pod.
    fn states<'a>(&self, answer: &'a QueryAnswer) -> BTreeMap<&'a str, Result<CircuitState, Misfit>> {
        let mut states = BTreeMap::new();
        for (pod, value) in answer.pods.iter().zip(&answer.values) {
            let Some(pod) = pod.as_deref().filter(|pod| !pod.is_empty()) else { continue };
            let state = states.entry(pod);
            state.and_modify(|one| *one = Err(Misfit::SeveralSeries)).or_insert_with(|| self.state(*value));
        }
        states
    }
}

/// The breakers. Those of other components are among them.
pub(super) fn reading(query: &BreakerQuery, answer: &QueryAnswer) -> CircuitReading {
    let circuit = |(pod, state): (&str, Result<CircuitState, Misfit>)| {
        let state = state.unwrap_or(CircuitState::Implausible);
        (pod.to_owned(), PodCircuit { state, at: answer.at })
    };
    CircuitReading { pods: query.states(answer).into_iter().map(circuit).collect() }
}

/// Why the breakers of these pods are not known, as a sentence. It has no number: a condition that changed with it would
/// be written each time.
pub(super) fn problem(query: &BreakerQuery, answer: &QueryAnswer, pods: &[Pod]) -> Option<String> {
    if answer.failure.is_some() {
        return answer.failure.clone();
    }
    answer.at?;
    if answer.values.is_empty() {
        return Some("the query returned no series".to_owned());
    }
    if answer.pods.iter().any(|pod| pod.as_deref().is_none_or(str::is_empty)) {
        let words = "the query returned a series without the label pod: write it as max by (pod) (...)";
        return Some(words.to_owned());
    }
    let states = query.states(answer);
    let mut names: Vec<&str> = pods.iter().map(|pod| &*pod.name).collect();
    names.sort_unstable();
    names.iter().find_map(|pod| match states.get(pod) {
        None => Some(format!("the query returned no series of pod {pod}")),
        Some(Err(Misfit::SeveralSeries)) => Some(format!(
            "the query returned several series of pod {pod}: aggregate them, for example by max by (pod) (...)"
        )),
        Some(Err(Misfit::NotANumber)) => Some(format!("the query returned NaN for pod {pod}")),
        Some(Err(Misfit::Unlisted)) => {
            Some(format!("the query returned a value for pod {pod} that is not in values: add it there"))
        }
        Some(Ok(_)) => None,
    })
}
