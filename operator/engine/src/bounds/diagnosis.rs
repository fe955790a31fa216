//! The maximum of components that wait for the bottleneck of the app: more pods of them would only wait, too. Pure.
//!
//! It is never below the current replicas, and metrics of the component's own work may ask for more. A verdict that is not
//! certain is said and holds nothing.

use crate::app::subject::Subject;
use crate::bounds::Bound;
use crate::bounds::circuit::shows_work;
use crate::diagnose::standing::Bottleneck;
use crate::input::Input;
use crate::propose::evaluate::Signal;
use crate::reason;
use crate::stack::Stack;
use std::collections::BTreeSet;

/// Margin to the second node or cause from which a verdict holds replicas. Below 0.1 it would be Unknown.
const CERTAIN: f64 = 0.3;

/// The services and workers that wait for a bottleneck.
#[derive(Default)]
pub(crate) struct Waiting<'a> {
    bottleneck: Option<&'a Bottleneck>,
    names: BTreeSet<&'a str>,
}

impl<'a> Waiting<'a> {
    /// Those of the verdict of the pass before: it is in the status before it has an effect.
    pub(crate) fn of(input: &Input<'a>) -> Self {
        let standing = input.memory.diagnosis.standing();
        let Some(bottleneck) = standing.filter(|it| it.is_waited_for() && it.confidence >= CERTAIN) else {
            return Self::default();
        };
        let components = input.stack.components.iter();
        let waits = |name: &str| name == bottleneck.component || reaches(input.stack, name, bottleneck);
        let names = components.filter(|(name, one)| !one.workload.is_data() && waits(name));
        Self { bottleneck: Some(bottleneck), names: names.map(|(name, _)| name.as_str()).collect() }
    }
}

/// Whether a component calls the bottleneck, itself or over others.
fn reaches(stack: &Stack, from: &str, bottleneck: &Bottleneck) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(name) = open.pop() {
        let Some(one) = stack.components.get(name) else { continue };
        let pools = one.pool.iter().map(|pool| pool.database.as_str());
        for callee in one.calls.iter().map(String::as_str).chain(pools) {
            if callee == bottleneck.component {
                return true;
            }
            if seen.insert(callee) {
                open.push(callee);
            }
        }
    }
    false
}

/// The maximum of a component that waits: no less than its minimum and its current replicas.
pub(crate) fn ceiling(
    subject: &Subject<'_>,
    signals: &[Signal<'_>],
    waiting: &Waiting<'_>,
    min: i32,
) -> Option<Bound> {
    let bottleneck = waiting.bottleneck.filter(|_| waiting.names.contains(subject.name))?;
    let work = signals.iter().filter(|signal| shows_work(&signal.metric.target));
    let asked = work.filter_map(Signal::replicas).max().unwrap_or(0);
    let replicas = asked.max(subject.current_replicas).max(min);
    let by = format!("the bottleneck {} of {}", bottleneck.cause.name, bottleneck.component);
    Some(Bound::new(replicas, reason::BOTTLENECK_ELSEWHERE, by))
}
