//! Sustained overload: repeated calls keep a system down after its trigger is gone. Pure.

use super::facts::Facts;
use crate::diagnose::changes::Changed;
use crate::diagnose::quantity::{Quantity, Statistic};
use crate::diagnose::verdict::{Finding, Intervention};
use crate::reason::SUSTAINED_OVERLOAD;

/// Calls per first call: in normal operation below, in a retry storm above.
const AMPLIFIED: f64 = 1.3;
/// First calls that grow by more than this are load, not repetition.
const OFFERED: f64 = 1.2;
/// Answers that fall below this share of normal are a loss.
const LOST: f64 = 0.9;
/// Seconds for which calls must have been repeated: shorter storms end by themselves. The window of an operator is a little
/// shorter than its two minutes.
const LASTS: f64 = 60.0;

pub(super) fn sustained(facts: &Facts<'_>) -> Option<Finding> {
    let requests = facts.near(Quantity::Requests)?;
    let (repeated, value, normal) = amplification(facts, requests)?;
    let failed = facts.near(Quantity::Failures)?;
    let offered = requests.change.ratio();
    let good = |requests: f64, failures: f64| {
        match failed.statistic {
            Statistic::Count => requests - failures,
            // A share of two rates may be a little more than all.
            _ => requests * (1.0 - failures.min(1.0)),
        }
    };
    let (now, before) = (
        good(requests.change.value, failed.change.value),
        good(requests.change.normal, failed.change.normal),
    );
    let is_lost = before > 0.0 && now / before < LOST;
    let lasts = seconds_of_storm(facts, repeated, requests.change.value) >= LASTS;
    let storms = value > AMPLIFIED && normal <= AMPLIFIED && is_lost && lasts && offered <= OFFERED;
    let evidence = [Some(repeated), Some(requests), Some(failed)];
    facts.finding(SUSTAINED_OVERLOAD, if storms { 1.0 } else { 0.0 }, &evidence, Intervention::ShedLoad)
}

/// Calls per first call, in the window and normally.
fn amplification<'a>(facts: &Facts<'a>, first: &Changed) -> Option<(&'a Changed, f64, f64)> {
    let per_first = |calls: f64, first: f64| if first > 0.0 { calls / first } else { 1.0 };
    if let Some(attempts) = facts.near(Quantity::Attempts) {
        let value = per_first(attempts.change.value, first.change.value);
        return Some((attempts, value, per_first(attempts.change.normal, first.change.normal)));
    }
    let retries = facts.near(Quantity::Retries)?;
    let value = 1.0 + per_first(retries.change.value, first.change.value);
    Some((retries, value, 1.0 + per_first(retries.change.normal, first.change.normal)))
}

/// Time until the end of the window in which calls were repeated as often as in a storm, at this rate of first calls.
fn seconds_of_storm(facts: &Facts<'_>, repeated: &Changed, first: f64) -> f64 {
    let window = facts.observation.window;
    let series = facts.observation.nodes.get(&repeated.source).into_iter().flatten();
    let samples = series.filter(|one| one.name == repeated.name).flat_map(|one| &one.samples);
    let samples: Vec<&(f64, f64)> = samples.filter(|(at, _)| window.contains(*at)).collect();
    let storms = |repetitions: f64| match repeated.quantity {
        Quantity::Attempts => repetitions > AMPLIFIED * first,
        _ => repetitions > (AMPLIFIED - 1.0) * first,
    };
    let since = samples.iter().rev().take_while(|(_, value)| storms(*value)).last();
    since.map_or(0.0, |(at, _)| window.until - at)
}
