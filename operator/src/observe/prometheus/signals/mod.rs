//! The last measurements of the template queries, by signal. I/O: Prometheus.
//!
//! A signal is replaced as a whole, value, age and count together, so no value gets the age of another. Where its
//! series exceed one answer, each part is replaced as a whole, so the series of one app do not affect others. A failed
//! query is retried once at once, because a tick without evidence delays every app by a whole tick. If that fails, too,
//! the signal backs off, and is not retried within a tick until it was answered again. Signals without a metric are
//! only displayed, and queried less often.

pub mod activity;
pub mod cache;
pub mod calls;
pub mod circuit;
pub mod connections;
pub mod cpu;
pub mod database_use;
pub mod failures;
pub mod family;
pub mod in_flight;
pub mod jobs;
pub mod latency;
pub mod memory;
pub mod recent;
pub mod requests;
pub mod running_jobs;
pub mod scraped;
pub mod selection;
pub mod template;
pub mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use self::family::{Measurements, Sampling};
use self::selection::Selection;
use self::template::{Misread, Template};
use super::answer::QueryResult;
use super::client::{Prometheus, QueryError};
use super::parts::{Part, Parts};
use crate::observe::query_plan::{QueryPlan, QueryScope, Signal};
use crate::runtime::clock;

/// Interval of the queries for a signal that is only displayed: with a tick of 5 s it is queried at every third.
/// Latency histograms are most of the work of such queries, for Prometheus and for the operator.
const SHOWN_FOR: Duration = Duration::from_secs(12);

/// Queries the signals and keeps the measurements.
pub struct Signals {
    prometheus: Prometheus,
    selection: Selection,
    parts: BTreeMap<Signal, Parts>,
    /// When each signal was last queried.
    asked: BTreeMap<Signal, Instant>,
    evidence: Measurements,
}

/// A part of a signal, and the query text of each of its templates.
struct Request<'a> {
    signal: Signal,
    part: Part<'a>,
    queries: Vec<(Template, String)>,
    is_at_rest: bool,
}

/// Why a part of a signal was not measured.
#[derive(Debug, thiserror::Error)]
enum Unmeasured {
    #[error(transparent)]
    Unanswered(QueryError),
    #[error(transparent)]
    Misread(#[from] Misread),
}

impl Unmeasured {
    fn is_of_size(&self) -> bool {
        matches!(self, Self::Unanswered(error) if error.is_of_size())
    }
}

/// By the query text: two signals may share one.
type Answered = BTreeMap<String, Result<QueryResult, QueryError>>;

impl Signals {
    /// No measurements yet.
    #[must_use]
    pub fn new(prometheus: Prometheus, selection: Selection) -> Self {
        let (parts, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { prometheus, selection, parts, asked, evidence: Measurements::default() }
    }

    /// Sends each due query of the needed signals once, all at the same time, and returns the newest valid
    /// measurements.
    pub async fn refresh(&mut self, wanted: &QueryPlan, now: Timestamp) -> Measurements {
        let scopes = self.scopes(wanted);
        self.forget_unwanted(&scopes);
        let started = clock::monotonic();
        let is_due = |(signal, scope): &(Signal, &QueryScope)| {
            scope.decides || self.asked.get(signal).is_none_or(|asked| started >= *asked + SHOWN_FOR)
        };
        let due: Vec<(Signal, &QueryScope)> = scopes.into_iter().filter(is_due).collect();
        let requests: Vec<Request<'_>> =
            due.iter().flat_map(|(signal, scope)| self.requests(*signal, scope, started)).collect();
        self.asked.extend(requests.iter().map(|request| (request.signal, started)));
        let answers = self.ask(&requests).await;
        let ended = clock::monotonic();
        for request in &requests {
            let parts = self.parts.entry(request.signal).or_default();
            match take(&mut self.evidence, request, &answers, wanted, now) {
                Ok(bytes) => parts.answered(&request.part, bytes),
                Err(error) => parts.failed(&request.part, error.to_string(), error.is_of_size(), ended),
            }
        }
        for (signal, scope) in due {
            self.parts.entry(signal).or_default().join(&scope.apps, ended);
        }
        self.evidence.problems =
            self.parts.iter().map(|(signal, parts)| (*signal, parts.problems())).collect();
        self.evidence.clone()
    }

    /// The due parts of a signal that are not backing off.
    fn requests<'a>(&self, signal: Signal, scope: &'a QueryScope, now: Instant) -> Vec<Request<'a>> {
        let none = Parts::default();
        let parts = self.parts.get(&signal).unwrap_or(&none);
        let request = |part: Part<'a>| {
            let query = |template: &Template| (*template, (template.query)(&self.selection, &part));
            let queries = signal.family().templates.iter().map(query).collect();
            Request { signal, queries, is_at_rest: parts.is_at_rest(&part), part }
        };
        parts.of(&scope.apps).into_iter().filter(|part| parts.admits(part, now)).map(request).collect()
    }

    async fn ask(&self, requests: &[Request<'_>]) -> Answered {
        let of = |request: &Request<'_>| {
            request.queries.iter().map(|(template, text)| (text.clone(), *template)).collect::<Vec<_>>()
        };
        let mut queries: BTreeMap<String, Template> = requests.iter().flat_map(of).collect();
        let mut answers = self.send(&queries).await;
        let at_rest = requests.iter().filter(|request| request.is_at_rest);
        let twice: BTreeSet<String> = at_rest.flat_map(of).map(|(text, _)| text).collect();
        queries.retain(|text, _| {
            twice.contains(text) && answers[text].as_ref().is_err_and(QueryError::may_pass)
        });
        answers.extend(self.send(&queries).await);
        answers
    }

    /// Sends the queries, all at the same time.
    async fn send(&self, queries: &BTreeMap<String, Template>) -> Answered {
        let send = |(text, template): (&String, &Template)| {
            let (text, template) = (text.clone(), *template);
            async move {
                let answer = self.prometheus.query(template.name, &text).await;
                (text, answer)
            }
        };
        join_all(queries.iter().map(send)).await.into_iter().collect()
    }

    /// The signals to measure, with their apps.
    fn scopes<'a>(&self, wanted: &'a QueryPlan) -> BTreeMap<Signal, &'a QueryScope> {
        let is_off = |signal| signal == Signal::RecentRequests && self.selection.recent_window.is_zero();
        let signals = wanted.signals().iter().map(|(signal, scope)| (*signal, scope));
        signals.filter(|(signal, _)| !is_off(*signal)).collect()
    }

    fn forget_unwanted(&mut self, wanted: &BTreeMap<Signal, &QueryScope>) {
        self.parts.retain(|signal, _| wanted.contains_key(signal));
        self.asked.retain(|signal, _| wanted.contains_key(signal));
        for signal in Signal::ALL.iter().filter(|signal| !wanted.contains_key(signal)) {
            (signal.family().forget)(&mut self.evidence);
        }
    }
}

/// Replaces a part of a signal if every one of its queries was answered, and returns the size of the largest answer.
fn take(
    evidence: &mut Measurements,
    request: &Request<'_>,
    answered: &Answered,
    wanted: &QueryPlan,
    now: Timestamp,
) -> Result<usize, Unmeasured> {
    let of = |(template, text): &(Template, String)| match &answered[text] {
        Ok(answer) => Ok((*template, answer)),
        Err(error) => Err(Unmeasured::Unanswered(error.clone())),
    };
    let results: Vec<(Template, &QueryResult)> = request.queries.iter().map(of).collect::<Result<_, _>>()?;
    let answers = results.iter().map(|(template, result)| (*template, result.get())).collect();
    evidence.read(request.signal, &Sampling { part: &request.part, wanted, now }, answers)?;
    Ok(results.iter().map(|(_, result)| result.backing_cart().len()).max().unwrap_or(0))
}
