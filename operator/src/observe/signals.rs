//! What the template queries measured last, signal by signal. I/O: Prometheus.
//!
//! A signal is replaced as a whole, value, age and count together, so that no value is ever judged by the age of
//! another. A query that fails is sent once more at once, because a tick without evidence delays every app by a whole
//! tick; a signal whose query fails then is left alone for a while, and not asked twice until it was answered again.
//! What no metric is read from is shown to people alone, and asked for less often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::answer::{Data, QueryResult};
use super::backoff::{self, Backoff};
use super::measurements::{ByComponent, ByContainer, Traffic, latencies, traffic, usages};
use super::prometheus::{Prometheus, QueryError, TEMPLATE_LIMIT};
use super::quantile::Bucket;
use super::templates::{Selection, Template};
use super::wanted::{Scope, Signal, Wanted};
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
    /// Why the last attempt at a signal failed, as a sentence; nothing for those that did not fail.
    pub problems: BTreeMap<Signal, String>,
}

/// Asks for the signals and keeps what they measured.
pub struct Signals {
    prometheus: Prometheus,
    selection: Selection,
    backoffs: BTreeMap<Signal, Backoff>,
    /// When each signal was asked for last.
    asked: BTreeMap<Signal, Instant>,
    evidence: Evidence,
}

type Answers = BTreeMap<Template, Result<QueryResult, QueryError>>;

impl Signals {
    /// Nothing is measured yet.
    #[must_use]
    pub fn new(prometheus: Prometheus, selection: Selection) -> Self {
        let (backoffs, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { prometheus, selection, backoffs, asked, evidence: Evidence::default() }
    }

    /// Sends each query of the wanted signals that are due once, all at the same time, and returns the newest good
    /// measurements.
    pub async fn refresh(&mut self, wanted: &Wanted, now: Timestamp) -> Evidence {
        let scopes = wanted.signals();
        self.forget_unwanted(scopes);
        let started = clock::monotonic();
        let is_due = |(signal, scope): (&Signal, &Scope)| {
            let is_old = self.asked.get(signal).is_none_or(|asked| started >= *asked + SHOWN_FOR);
            let is_due = scope.decides || is_old;
            (is_due && self.backoffs.entry(*signal).or_default().admits(started)).then_some(*signal)
        };
        let due: Vec<Signal> = scopes.iter().filter_map(is_due).collect();
        self.asked.extend(due.iter().map(|signal| (*signal, started)));
        let answers = self.ask(&due, scopes).await;
        for signal in due {
            let backoff = self.backoffs.entry(signal).or_default();
            match take(&mut self.evidence, signal, &answers, wanted, now) {
                Ok(()) => {
                    backoff.succeeded();
                    self.evidence.problems.remove(&signal);
                }
                Err(error) => {
                    backoff.failed(clock::monotonic(), backoff::CAP);
                    self.evidence.problems.insert(signal, error.to_string());
                }
            }
        }
        self.evidence.clone()
    }

    async fn ask(&self, due: &[Signal], scopes: &BTreeMap<Signal, Scope>) -> Answers {
        let mut queries = BTreeMap::new();
        for signal in due {
            for template in signal.templates() {
                let namespaces = &scopes[signal].namespaces;
                queries.entry(*template).or_insert_with(|| template.query(&self.selection, namespaces));
            }
        }
        let mut answers = self.send(&queries).await;
        let at_rest = due.iter().filter(|signal| self.backoffs[signal].is_at_rest());
        let twice: BTreeSet<&Template> = at_rest.flat_map(|signal| signal.templates()).collect();
        queries.retain(|template, _| {
            twice.contains(template) && answers[template].as_ref().is_err_and(QueryError::may_pass)
        });
        answers.extend(self.send(&queries).await);
        answers
    }

    /// Sends the queries, all at the same time.
    async fn send(&self, queries: &BTreeMap<Template, String>) -> Answers {
        let send = |(template, query): (&Template, &String)| {
            let (template, query) = (*template, query.clone());
            async move { (template, self.prometheus.query(template.name(), &query, TEMPLATE_LIMIT).await) }
        };
        join_all(queries.iter().map(send)).await.into_iter().collect()
    }

    fn forget_unwanted(&mut self, wanted: &BTreeMap<Signal, Scope>) {
        self.backoffs.retain(|signal, _| wanted.contains_key(signal));
        self.asked.retain(|signal, _| wanted.contains_key(signal));
        self.evidence.problems.retain(|signal, _| wanted.contains_key(signal));
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

/// Replaces a signal if every one of its queries was answered.
fn take(
    evidence: &mut Evidence,
    signal: Signal,
    answers: &Answers,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<(), QueryError> {
    let of = |template: &Template| answers[template].as_ref().map(QueryResult::get).map_err(Clone::clone);
    let data = signal.templates().iter().map(of).collect::<Result<Vec<&Data<'_>>, _>>()?;
    match (signal, data.as_slice()) {
        (Signal::RequestRate, [rates, ages, pods, resets, active]) => {
            evidence.traffic = Arc::new(traffic(rates, ages, pods, resets, active, wanted, now));
        }
        (Signal::Latency, [buckets, ages, pods]) => {
            evidence.latencies = Arc::new(latencies(buckets, ages, pods, wanted, now));
        }
        (Signal::Cpu, [values, ages]) => evidence.cpu = Arc::new(usages(values, ages, now)),
        (Signal::Memory, [values, ages]) => evidence.memory = Arc::new(usages(values, ages, now)),
        _ => {}
    }
    Ok(())
}
