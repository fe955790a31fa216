//! What the template queries measured last, signal by signal. I/O: Prometheus.
//!
//! A signal is replaced as a whole, value, age and count together, so that no value is ever judged by the age of
//! another. A query that fails is sent once more at once, because a tick without evidence delays every app by a whole
//! tick; a signal whose query fails then is left alone for a while, and not asked twice until it was answered again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;

use super::answer::{Data, QueryResult};
use super::backoff::Backoff;
use super::measurements::{ByComponent, ByPod, Traffic, latencies, pod_usages, traffic};
use super::prometheus::{Prometheus, QueryError, TEMPLATE_LIMIT};
use super::quantile::Bucket;
use super::templates::{Selection, Template};
use super::wanted::Signal;
use crate::runtime::clock;

/// The measurements of each signal. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// HTTP requests.
    pub traffic: Arc<ByComponent<Traffic>>,
    /// Latency histograms.
    pub latencies: Arc<ByComponent<Vec<Bucket>>>,
    /// CPU.
    pub cpu: Arc<ByPod>,
    /// Memory.
    pub memory: Arc<ByPod>,
    /// Why the last attempt at a signal failed, as a sentence; nothing for those that did not fail.
    pub problems: BTreeMap<Signal, String>,
}

/// Asks for the signals and keeps what they measured.
pub struct Signals {
    prometheus: Prometheus,
    selection: Selection,
    backoffs: BTreeMap<Signal, Backoff>,
    evidence: Evidence,
}

type Answers = BTreeMap<Template, Result<QueryResult, QueryError>>;

impl Signals {
    /// Nothing is measured yet.
    #[must_use]
    pub fn new(prometheus: Prometheus, selection: Selection) -> Self {
        Self { prometheus, selection, backoffs: BTreeMap::new(), evidence: Evidence::default() }
    }

    /// Sends each query of the wanted signals once, all at the same time, and returns the newest good measurements.
    /// `wanted` has the namespaces of the apps that use a signal.
    pub async fn refresh(&mut self, wanted: &BTreeMap<Signal, BTreeSet<String>>, now: Timestamp) -> Evidence {
        self.forget_unwanted(wanted);
        let started = clock::monotonic();
        let due: Vec<Signal> = wanted
            .keys()
            .copied()
            .filter(|one| self.backoffs.entry(*one).or_default().admits(started))
            .collect();
        let answers = self.ask(&due, wanted).await;
        for signal in due {
            let backoff = self.backoffs.entry(signal).or_default();
            match take(&mut self.evidence, signal, &answers, now) {
                Ok(()) => {
                    backoff.succeeded();
                    self.evidence.problems.remove(&signal);
                }
                Err(error) => {
                    backoff.failed(clock::monotonic());
                    self.evidence.problems.insert(signal, error.to_string());
                }
            }
        }
        self.evidence.clone()
    }

    async fn ask(&self, due: &[Signal], wanted: &BTreeMap<Signal, BTreeSet<String>>) -> Answers {
        let mut queries = BTreeMap::new();
        for signal in due {
            for template in signal.templates() {
                queries.entry(*template).or_insert_with(|| template.query(&self.selection, &wanted[signal]));
            }
        }
        let mut answers = self.send(&queries).await;
        if due.iter().all(|signal| self.backoffs[signal].is_at_rest()) {
            queries.retain(|template, _| answers[template].as_ref().is_err_and(QueryError::may_pass));
            answers.extend(self.send(&queries).await);
        }
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

    fn forget_unwanted(&mut self, wanted: &BTreeMap<Signal, BTreeSet<String>>) {
        self.backoffs.retain(|signal, _| wanted.contains_key(signal));
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
    now: Timestamp,
) -> Result<(), QueryError> {
    let of = |template: &Template| answers[template].as_ref().map(QueryResult::get).map_err(Clone::clone);
    let data = signal.templates().iter().map(of).collect::<Result<Vec<&Data<'_>>, _>>()?;
    match (signal, data.as_slice()) {
        (Signal::RequestRate, [rates, ages, pods, resets, active]) => {
            evidence.traffic = Arc::new(traffic(rates, ages, pods, resets, active, now));
        }
        (Signal::Latency, [buckets, ages, pods]) => {
            evidence.latencies = Arc::new(latencies(buckets, ages, pods, now));
        }
        (Signal::Cpu, [usages, ages]) => evidence.cpu = Arc::new(pod_usages(usages, ages, now)),
        (Signal::Memory, [usages, ages]) => evidence.memory = Arc::new(pod_usages(usages, ages, now)),
        _ => {}
    }
    Ok(())
}
