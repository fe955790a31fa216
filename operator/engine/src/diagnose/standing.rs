//! What is said of an app between two diagnoses: a verdict begins, changes and ends only after several equal ones. Pure.
//!
//! Its numbers are those of its beginning, so that the status does not change with each measurement. While something is
//! wrong, normal operation is what was before: otherwise an incident would become normal while it lasts.

use super::diagnose;
use super::observation::{Observation, Span};
use super::quantity::Quantity;
use super::verdict::{Diagnosis, Finding, Intervention, Number, Verdict};
use crate::input::Input;
use crate::reason::{self, Reason};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Equal verdicts in a row after which one is said.
const BEGINS: u32 = 2;
/// Equal other verdicts in a row after which the one that is said changes.
const CHANGES: u32 = 4;
/// Verdicts without a cause in a row after which a cause is not said any more: its window has passed by then, and the one that
/// its rates are averaged over. What is left of failures outlasts what is left of an open breaker.
const FADES: u32 = 12;
/// Healthy ones in a row after which nothing is said any more.
const ENDS: u32 = 4;
/// Windows of normal operation that are needed: with fewer nothing is known to be ordinary.
const FEWEST_WINDOWS: f64 = 3.0;
/// Windows after which an incident that lasts is what is normal: half a day of windows of two minutes.
const MOST_WINDOWS: f64 = 360.0;
/// Numbers that are kept.
const NUMBERS: usize = 3;

/// What is wrong with an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bottleneck {
    /// The component, the database or the dependency.
    pub component: String,
    /// The cause.
    pub cause: Reason,
    /// The least complex step.
    pub advice: Intervention,
    /// When it was first seen, in whole seconds.
    pub since: Timestamp,
    /// From 0 to 1: the margin to the second node or cause.
    pub confidence: f64,
    /// The numbers behind it, as they were at its beginning.
    pub numbers: Vec<Number>,
    /// The measurement that would decide; empty where it is decided.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub deciding: String,
}

/// The verdict that is said, and those on the way to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DiagnosisMemory {
    asked: Option<Timestamp>,
    standing: Option<Bottleneck>,
    candidate: Option<Candidate>,
    /// Healthy verdicts in a row.
    quiet: u32,
    /// Where normal operation ends; `None` while nothing is wrong.
    incident: Option<Timestamp>,
    /// Where normal operation begins, after an incident that became normal.
    begun: Option<Timestamp>,
    /// Whether there was enough to judge, when it was last looked at.
    judged: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Candidate {
    bottleneck: Bottleneck,
    times: u32,
}

impl Bottleneck {
    /// The cause with its numbers and the step, in sentences.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { component, cause, advice, numbers, deciding, .. } = self;
        let mut message = format!("{component}: {}", cause.sentence);
        let numbers: Vec<String> = numbers.iter().map(Number::to_string).collect();
        if !numbers.is_empty() {
            message = format!("{message} Measured: {}.", numbers.join(", "));
        }
        if !deciding.is_empty() {
            message = format!("{message} To decide, measure {deciding}.");
        }
        match advice {
            Intervention::Nothing => message,
            step => format!("{message} {}", step.sentence()),
        }
    }

    fn has_cause(&self) -> bool {
        ![reason::UNKNOWN, reason::NOT_A_SCALING_PROBLEM].contains(&self.cause)
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.component, self.cause) == (&other.component, other.cause)
    }

    /// The verdict as it begins; `None` of a healthy app.
    fn of(diagnosis: Diagnosis, now: Timestamp) -> Option<Self> {
        let (cause, advice, confidence) =
            (diagnosis.reason(), diagnosis.intervention(), diagnosis.confidence);
        let (component, numbers, deciding) = match diagnosis.verdict {
            Verdict::Healthy => return None,
            Verdict::Cause(Finding { node, evidence, .. }) => (node, evidence, String::new()),
            Verdict::NotAScalingProblem { node, evidence } => (node, evidence, String::new()),
            Verdict::Unknown { candidates: [(node, _), _], deciding } => (node, Vec::new(), deciding),
        };
        let since = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let numbers = numbers.into_iter().take(NUMBERS).collect();
        Some(Self { component, cause, advice, since, confidence, numbers, deciding })
    }
}

impl DiagnosisMemory {
    /// What is said.
    #[must_use]
    pub fn standing(&self) -> Option<&Bottleneck> {
        self.standing.as_ref()
    }

    /// Whether there was enough to judge, when it was last looked at.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.judged
    }

    /// When something began to be wrong; `None` while nothing is. Earlier samples are those of normal operation.
    #[must_use]
    pub fn incident(&self) -> Option<Timestamp> {
        self.incident
    }

    /// Whether there is nothing to remember.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Diagnoses the app, if there is something new to look at.
    pub(crate) fn follow(&mut self, input: &Input<'_>) {
        // A clock that was set back would stop the diagnosis.
        let asked = self.asked.filter(|at| *at <= input.now);
        let Some(mut observation) = input.evidence.observation(asked) else { return };
        let length = observation.window.until - observation.window.from;
        let at = |time: Timestamp| time.as_second() as f64;
        if self.incident.is_some_and(|from| observation.window.until - at(from) > MOST_WINDOWS * length) {
            *self = Self { begun: Some(input.now), ..Self::default() };
        }
        self.asked = Some(input.now);
        for span in &mut observation.normal {
            span.from = self.begun.map_or(span.from, |begun| span.from.max(at(begun)));
            span.until = self.incident.map_or(span.until, |from| span.until.min(at(from)));
        }
        observation.normal.retain(|span| span.from < span.until);
        self.judged = is_judged(&observation);
        if !self.judged {
            return;
        }
        match Bottleneck::of(diagnose(&observation), input.now) {
            None => self.quiet(),
            Some(found) => self.loud(found, &observation),
        }
    }

    fn quiet(&mut self) {
        (self.quiet, self.candidate) = (self.quiet.saturating_add(1), None);
        if self.quiet >= ENDS {
            self.standing = None;
        }
        if self.standing.is_none() {
            self.incident = None;
        }
    }

    fn loud(&mut self, found: Bottleneck, observation: &Observation) {
        self.quiet = 0;
        let from = Timestamp::from_second(observation.window.from as i64).ok();
        self.incident = self.incident.or(from);
        if self.standing.as_ref().is_some_and(|standing| standing.is_same(&found)) {
            self.candidate = None;
            return;
        }
        let candidate = match self.candidate.take() {
            Some(Candidate { bottleneck, times }) if bottleneck.is_same(&found) => {
                Candidate { bottleneck: Bottleneck { since: bottleneck.since, ..found }, times: times + 1 }
            }
            _ => Candidate { bottleneck: found, times: 1 },
        };
        let needed = match &self.standing {
            None => BEGINS,
            Some(standing) if standing.has_cause() && !candidate.bottleneck.has_cause() => FADES,
            Some(_) => CHANGES,
        };
        if candidate.times >= needed {
            self.standing = Some(candidate.bottleneck);
        } else {
            self.candidate = Some(candidate);
        }
    }
}

/// Whether there is enough to judge: what users feel, now and in normal operation.
fn is_judged(observation: &Observation) -> bool {
    let Span { from, until } = observation.window;
    let normal: f64 = observation.normal.iter().map(|span| span.until - span.from).sum();
    let is_felt = |quantity| matches!(quantity, Quantity::Latency | Quantity::Failures);
    let mut series = observation.nodes.values().flatten().filter(|series| is_felt(series.quantity));
    normal >= FEWEST_WINDOWS * (until - from)
        && series.any(|series| series.samples.iter().any(|(at, _)| observation.window.contains(*at)))
}

impl Bottleneck {
    /// Whether the time passes in what is waited for, so that more pods of those that wait do not help.
    pub(crate) fn is_waited_for(&self) -> bool {
        const WAITED_FOR: [Reason; 6] = [
            reason::POOL_TOO_SMALL,
            reason::CONNECTIONS_EXHAUSTED,
            reason::DATABASE_SLOW,
            reason::LOCK_WAIT,
            reason::DEPENDENCY_FAILS,
            reason::EXTERNAL_LATENCY,
        ];
        WAITED_FOR.contains(&self.cause)
    }
}
