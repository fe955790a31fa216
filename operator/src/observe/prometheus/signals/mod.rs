//! What the template queries measured last, signal by signal. I/O: Prometheus.
//!
//! A signal is replaced as a whole, value, age and count together, so that no value is ever judged by the age of
//! another; where its series do not fit one answer, part by part, so that what one app's pods export harms nobody else. A query that fails is sent once more at once, because a tick without evidence delays every app by a whole
//! tick; a signal whose query fails then is left alone for a while, and not asked twice until it was answered again.
//! What no metric is read from is shown to people alone, and asked for less often.

pub mod measurements;
pub mod templates;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use self::measurements::{ByComponent, ByContainer, Companions, Traffic, latencies, traffic, usages};
use self::templates::{Selection, Template};
use super::answer::{Outcome, QueryResult};
use super::client::{Prometheus, QueryError, TEMPLATE_LIMIT};
use super::parts::{Part, Parts, Problems};
use super::quantile::Bucket;
use crate::observe::wanted::{Scope, Signal, Wanted};
use crate::resolve::app::ComponentKey;
use crate::runtime::clock;

/// Time for which a signal that is only shown is left alone: with a tick of 5 s it is asked for at every third. Histograms of
/// latency are most of what Prometheus would have to compute, and of what would have to be read.
const SHOWN_FOR: Duration = Duration::from_secs(12);

/// The measurements of each signal. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// HTTP requests.
    pub traffic: Arc<ByComponent<Traffic>>,
    /// Latency histograms.
    pub latencies: Arc<ByComponent<Vec<Bucket>>>,
    /// CPU.
    pub cpu: Arc<ByContainer>,
    /// Memory.
    pub memory: Arc<ByContainer>,
    /// Why the last attempts at each signal failed.
    pub problems: BTreeMap<Signal, Problems>,
}

/// Asks for the signals and keeps what they measured.
pub struct Signals {
    prometheus: Prometheus,
    selection: Selection,
    parts: BTreeMap<Signal, Parts>,
    /// When each signal was asked for last.
    asked: BTreeMap<Signal, Instant>,
    evidence: Evidence,
}

/// A part of a signal that is asked for, and the text of each of its templates.
struct Request<'a> {
    signal: Signal,
    part: Part<'a>,
    queries: Vec<(Template, String)>,
    is_at_rest: bool,
}

/// By the text of the query: two signals may have one in common.
type Answers = BTreeMap<String, Result<QueryResult, QueryError>>;

impl Evidence {
    /// Why the last attempt at a component's signal failed, as a sentence; nothing if it did not.
    #[must_use]
    pub fn problem(&self, signal: Signal, key: &ComponentKey) -> Option<&str> {
        let app = (key.namespace.clone(), key.app.clone());
        self.problems.get(&signal)?.range(..=app).next_back()?.1.as_deref()
    }
}

impl Signals {
    /// Nothing is measured yet.
    #[must_use]
    pub fn new(prometheus: Prometheus, selection: Selection) -> Self {
        let (parts, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { prometheus, selection, parts, asked, evidence: Evidence::default() }
    }

    /// Sends each query of the wanted signals that are due once, all at the same time, and returns the newest good
    /// measurements.
    pub async fn refresh(&mut self, wanted: &Wanted, now: Timestamp) -> Evidence {
        let scopes = wanted.signals();
        self.forget_unwanted(scopes);
        let started = clock::monotonic();
        let is_due = |(signal, scope): &(&Signal, &Scope)| {
            scope.decides || self.asked.get(*signal).is_none_or(|asked| started >= *asked + SHOWN_FOR)
        };
        let due: Vec<(&Signal, &Scope)> = scopes.iter().filter(is_due).collect();
        let requests: Vec<Request<'_>> =
            due.iter().flat_map(|(signal, scope)| self.requests(**signal, scope, started)).collect();
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
            self.parts.entry(*signal).or_default().join(&scope.apps, ended);
        }
        self.evidence.problems =
            self.parts.iter().map(|(signal, parts)| (*signal, parts.problems())).collect();
        self.evidence.clone()
    }

    /// What is asked of a signal now: each of its parts that is not left alone.
    fn requests<'a>(&self, signal: Signal, scope: &'a Scope, now: Instant) -> Vec<Request<'a>> {
        let none = Parts::default();
        let parts = self.parts.get(&signal).unwrap_or(&none);
        let request = |part: Part<'a>| {
            let query = |template: &Template| (*template, template.query(&self.selection, &part));
            let queries = signal.templates().iter().map(query).collect();
            Request { signal, queries, is_at_rest: parts.is_at_rest(&part), part }
        };
        parts.of(&scope.apps).into_iter().filter(|part| parts.admits(part, now)).map(request).collect()
    }

    async fn ask(&self, requests: &[Request<'_>]) -> Answers {
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
    async fn send(&self, queries: &BTreeMap<String, Template>) -> Answers {
        let send = |(text, template): (&String, &Template)| {
            let (text, template) = (text.clone(), *template);
            async move {
                let answer = self.prometheus.query(template.name(), &text, TEMPLATE_LIMIT).await;
                (text, answer)
            }
        };
        join_all(queries.iter().map(send)).await.into_iter().collect()
    }

    fn forget_unwanted(&mut self, wanted: &BTreeMap<Signal, Scope>) {
        self.parts.retain(|signal, _| wanted.contains_key(signal));
        self.asked.retain(|signal, _| wanted.contains_key(signal));
        let is_wanted = |signal| wanted.contains_key(&signal);
        if !is_wanted(Signal::RequestRate) {
            self.evidence.traffic = Arc::default();
        }
        if !is_wanted(Signal::Latency) {
            self.evidence.latencies = Arc::default();
        }
        if !is_wanted(Signal::Cpu) {
            self.evidence.cpu = Arc::default();
        }
        if !is_wanted(Signal::Memory) {
            self.evidence.memory = Arc::default();
        }
    }
}

/// Replaces a part of a signal if every one of its queries was answered, and returns the size of the largest answer.
fn take(
    evidence: &mut Evidence,
    request: &Request<'_>,
    answers: &Answers,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<usize, QueryError> {
    let part = &request.part;
    let of = |(_, text): &(Template, String)| answers[text].as_ref().map_err(Clone::clone);
    let answers = request.queries.iter().map(of).collect::<Result<Vec<&QueryResult>, _>>()?;
    let data: Vec<&Outcome<'_>> = answers.iter().map(|answer| answer.get()).collect();
    match (request.signal, data.as_slice()) {
        (Signal::RequestRate, [rates, ages, pods, resets, active]) => {
            let companions = Companions { ages, pods };
            renew(&mut evidence.traffic, part, traffic(rates, companions, resets, active, wanted, now));
        }
        (Signal::Latency, [buckets, ages, pods]) => {
            let companions = Companions { ages, pods };
            renew(&mut evidence.latencies, part, latencies(buckets, companions, wanted, now));
        }
        (Signal::Cpu, [values, ages]) => renew_pods(&mut evidence.cpu, part, usages(values, ages, now)),
        (Signal::Memory, [values, ages]) => renew_pods(&mut evidence.memory, part, usages(values, ages, now)),
        _ => {}
    }
    Ok(answers.iter().map(|answer| answer.backing_cart().len()).max().unwrap_or(0))
}

fn renew<T: Clone>(all: &mut Arc<ByComponent<T>>, part: &Part<'_>, measured: ByComponent<T>) {
    if part.is_whole {
        *all = Arc::new(measured);
    } else {
        let all = Arc::make_mut(all);
        all.retain(|key, _| !part.has_app(&key.namespace, &key.app));
        all.extend(measured);
    }
}

fn renew_pods(all: &mut Arc<ByContainer>, part: &Part<'_>, measured: ByContainer) {
    if part.is_whole {
        *all = Arc::new(measured);
    } else {
        let all = Arc::make_mut(all);
        all.retain(|container, _| !part.has_pod(container.namespace(), container.pod()));
        all.extend(measured);
    }
}
