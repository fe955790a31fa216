//! The result of each declared metric: a proposal, no proposal, or that it cannot be evaluated. Pure.

use crate::app::subject::Subject;
use crate::evidence::sample::{Reading, SampleError, Window, judge, judge_value, with_fresh_samples};
use crate::evidence::zero::{Doubts, doubt};
use crate::hpa::pod::{Pod, Resource};
use crate::hpa::signal::{PodMetric, PodTarget, PodTiming, Proposal, SignalError, average_of_total};
use crate::propose::cache::{MemoryGrowth, on_evictions};
use crate::propose::latency::{LatencyEvidence, LatencyMemory, Opinion};
use crate::propose::metric::{Metric, Target, micros};
use crate::propose::recent::{RecentProposal, on_recent};
use crate::propose::throughput::GrowthMemory;
use crate::propose::worker::{BacklogProposal, on_backlog};
use crate::reason::{self, Reason};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A declared metric and its result.
#[derive(Clone, Debug)]
pub(crate) struct Signal<'a> {
    pub(crate) metric: &'a Metric,
    pub(crate) result: MetricResult,
    /// The measured total in the metric's unit, where it is a total and the evidence is complete.
    pub(crate) load: Option<f64>,
    /// The averaging window of the value, where the evidence is complete.
    pub(crate) window: Option<Window>,
    /// The proposal of a backlog, with its words.
    pub(crate) backlog: Option<BacklogProposal>,
    /// Evicted keys per second of a cache, where the evidence is complete.
    pub(crate) evictions: Option<f64>,
    /// Bytes to which the memory of each shard of a cache grows now.
    pub(crate) memory: Option<i64>,
    /// More replicas than its own proposal and the current ones, by the request rate of the last seconds.
    pub(crate) recent: Option<RecentProposal>,
}

/// Memory of the measurements, by the name of the metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SignalMemory {
    pub(crate) last_good: BTreeMap<String, LastGood>,
    pub(crate) latency: LatencyMemory,
    pub(crate) doubts: Doubts,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) backlogs: BTreeMap<String, GrowthMemory>,
    #[serde(default)]
    pub(crate) shards: MemoryGrowth,
}

/// A metric's last valid value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LastGood {
    /// Thousandths of the unit in which the metric is written.
    pub(crate) milli: i64,
    pub(crate) at: Timestamp,
}

impl SignalMemory {
    /// Removes the metrics that are not kept.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.last_good.retain(|name, _| is_kept(name));
        self.doubts.retain(&is_kept);
        self.latency.retain(&is_kept);
        self.backlogs.retain(|name, _| is_kept(name));
    }
}

/// The result of a metric.
#[derive(Clone, Debug)]
pub(crate) enum MetricResult {
    /// It proposes replicas.
    Asks(Proposal),
    /// Its evidence is incomplete, and yet it proposes more than the current replicas.
    AtLeast(Proposal, Invalid),
    /// It cannot be evaluated, so nothing may scale in.
    Invalid(Invalid),
    /// Latency that keeps the current replicas.
    Keeps {
        /// Latency in microseconds.
        latency: i64,
        /// Why it does not propose more.
        why: &'static str,
    },
    /// No proposal, and no obstacle to a scale-in: latency, evictions, or the usage of pods where there are none.
    Silent {
        /// The value in thousandths of its displayed unit, if it is known.
        measured: Option<i64>,
        /// Why it has no proposal; empty while it is not above its target.
        why: String,
    },
}

/// Why a metric cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The reason as one word.
    pub reason: Reason,
    /// The detail.
    pub why: String,
}

impl From<SignalError> for Invalid {
    fn from(error: SignalError) -> Self {
        let reason = match error {
            SignalError::MissingRequest { .. } => reason::REQUEST_MISSING,
            SignalError::MetricsUnavailable
            | SignalError::NoPods
            | SignalError::NoReadyMetrics
            | SignalError::ContainerNotFound { .. }
            | SignalError::NoMatchingRequests => reason::METRIC_ABSENT,
        };
        Self { reason, why: error.to_string() }
    }
}

impl From<SampleError> for Invalid {
    fn from(error: SampleError) -> Self {
        Self { reason: error.reason(), why: error.to_string() }
    }
}

/// Evaluates every metric, latency last because it depends on the others. `least` are the replicas that run at any
/// load.
pub(crate) fn evaluate<'a>(subject: &Subject<'a>, least: i32, memory: &mut SignalMemory) -> Vec<Signal<'a>> {
    let pods = with_fresh_samples(&subject.pods, subject.now, subject.max_age());
    let mut signals: Vec<Signal<'a>> = Vec::with_capacity(subject.declared.metrics().len());
    let mut latencies = Vec::new();
    for metric in subject.declared.metrics() {
        let name = metric.name.as_str();
        let value = match &metric.target {
            Target::Cpu(target) => Value::without_total(on_pods(subject, &pods, Resource::Cpu, *target)),
            Target::Memory(target) => {
                Value::without_total(on_pods(subject, &pods, Resource::Memory, *target))
            }
            Target::RequestRate { per_replica } => {
                let value = on_total(subject, name, *per_replica, |rate, served| {
                    nobody_serves(subject)
                        .or_else(|| doubt(subject, &mut memory.doubts, name, rate, served, least))
                });
                Value { recent: on_recent(subject, *per_replica, value.result.as_ref().ok()), ..value }
            }
            Target::Prometheus { per_replica } => on_total(subject, name, *per_replica, |_, _| None),
            Target::Backlog(target) => {
                let memory = memory.backlogs.entry(metric.name.clone()).or_default();
                Value::of_backlog(on_backlog(subject, name, target, memory))
            }
            Target::Evictions => {
                let cpu_is_enough = asks_for_no_more(subject, &signals);
                match on_evictions(subject, name, cpu_is_enough, &mut memory.shards) {
                    Ok(evictions) => {
                        let (evicted, memory) = (Some(evictions.per_second), evictions.memory);
                        Value { evictions: evicted, memory, ..Value::without_total(Ok(evictions.result)) }
                    }
                    Err(invalid) => Value::without_total(Err(invalid)),
                }
            }
            Target::Latency { target, .. } => {
                latencies.push((metric, micros(*target)));
                continue;
            }
        };
        let signal = Signal::of(metric, value);
        if let MetricResult::Asks(proposal) = &signal.result {
            let good = LastGood { milli: metric.target.measured(proposal), at: subject.now };
            memory.last_good.insert(metric.name.clone(), good);
        }
        signals.push(signal);
    }
    let ratio = |signal: &Signal<'_>| match &signal.result {
        MetricResult::Asks(proposal) => Some(proposal.ratio),
        _ => None,
    };
    let load = signals.iter().filter_map(ratio).filter(|ratio| ratio.is_finite()).reduce(f64::max);
    for (metric, target) in latencies {
        let result = on_latency(subject, &pods, &mut memory.latency, metric, target, load);
        let value = Value::without_total(Ok(result));
        signals.push(Signal::of(metric, value));
    }
    signals
}

/// Whether the metrics so far are valid and ask for no more than the current replicas.
fn asks_for_no_more(subject: &Subject<'_>, signals: &[Signal<'_>]) -> bool {
    let is_enough = |signal: &Signal<'_>| match &signal.result {
        MetricResult::Asks(proposal) => proposal.replicas <= subject.current_replicas,
        _ => false,
    };
    signals.iter().all(is_enough)
}

/// The evidence of a metric, and its result.
struct Value {
    result: Result<MetricResult, Invalid>,
    load: Option<f64>,
    window: Option<Window>,
    backlog: Option<BacklogProposal>,
    evictions: Option<f64>,
    memory: Option<i64>,
    recent: Option<RecentProposal>,
}

impl Value {
    fn without_total(result: Result<MetricResult, Invalid>) -> Self {
        Self { result, load: None, window: None, backlog: None, evictions: None, memory: None, recent: None }
    }

    fn of_backlog(result: Result<BacklogProposal, Invalid>) -> Self {
        match result {
            Ok(backlog) => {
                let result = Ok(MetricResult::Asks(backlog.proposal));
                Self { backlog: Some(backlog), ..Self::without_total(result) }
            }
            Err(invalid) => Self::without_total(Err(invalid)),
        }
    }
}

impl<'a> Signal<'a> {
    fn of(metric: &'a Metric, value: Value) -> Self {
        let Value { result, load, window, backlog, evictions, memory, recent } = value;
        let result = result.unwrap_or_else(MetricResult::Invalid);
        let is_whole = matches!(result, MetricResult::Asks(_));
        let (load, window) = (load.filter(|_| is_whole), window.filter(|_| is_whole));
        Self { metric, result, load, window, backlog, evictions, memory, recent }
    }

    /// The proposed replicas, if any.
    pub(crate) fn replicas(&self) -> Option<i32> {
        let own = self.result.proposal()?.replicas;
        Some(self.recent.map_or(own, |recent| recent.replicas))
    }
}

impl MetricResult {
    /// The proposal, if any.
    pub(crate) fn proposal(&self) -> Option<&Proposal> {
        match self {
            Self::Asks(proposal) | Self::AtLeast(proposal, _) => Some(proposal),
            Self::Invalid(_) | Self::Keeps { .. } | Self::Silent { .. } => None,
        }
    }

    /// What is missing of incomplete evidence. Latency needs no evidence, so it never lacks any.
    pub(crate) fn invalid(&self) -> Option<&Invalid> {
        match self {
            Self::Invalid(invalid) | Self::AtLeast(_, invalid) => Some(invalid),
            Self::Asks(_) | Self::Keeps { .. } | Self::Silent { .. } => None,
        }
    }
}

fn on_pods(
    subject: &Subject<'_>,
    pods: &[Pod],
    resource: Resource,
    target: PodTarget,
) -> Result<MetricResult, Invalid> {
    if subject.current_replicas == 0 {
        return Ok(MetricResult::Silent { measured: None, why: "no pods".to_owned() });
    }
    let sampled = |pod: &Pod| pod.usage.get(resource).is_some();
    let total = subject.current_replicas.saturating_add(subject.canary_replicas);
    let metric = PodMetric {
        now: subject.now,
        pods,
        unlisted: &[],
        available: pods.is_empty() || pods.iter().any(sampled),
        resource,
        container: None,
        target,
        current_replicas: total,
        tolerance: subject.declared.behavior.tolerance(),
        timing: PodTiming::default(),
    };
    let proposal = metric.propose()?;
    // The pods of a canary take a part of the CPU time that the load needs. The stable ones must be able to do all of it. The
    // memory of a pod does not depend on the number of pods, so each revision needs its own.
    let replicas = match resource {
        Resource::Cpu => proposal.replicas,
        Resource::Memory => of_stable(proposal.replicas, subject.current_replicas, total),
    };
    Ok(MetricResult::Asks(Proposal { replicas, ..proposal }))
}

/// The part of `proposed` replicas that is the stable revision's, which has `current` of `total`, rounded up.
fn of_stable(proposed: i32, current: i32, total: i32) -> i32 {
    let (proposed, current, total) = (i64::from(proposed), i64::from(current), i64::from(total.max(1)));
    i32::try_from((proposed * current + total - 1) / total).unwrap_or(i32::MAX)
}

/// Reads a total over the component. `doubt` gets the total and the requests in flight.
fn on_total(
    subject: &Subject<'_>,
    name: &str,
    per_replica: i64,
    doubt: impl FnOnce(f64, u32) -> Option<SampleError>,
) -> Value {
    let reading = subject.reading(name);
    let reading = reading.as_deref();
    let fresh = match judge_value(reading, subject.now, subject.max_age()) {
        Ok(fresh) => fresh,
        Err(error) => return Value::without_total(Err(error.into())),
    };
    let result = of_total(subject, reading, fresh.value, per_replica, doubt);
    let window = reading.and_then(|reading| reading.window);
    Value { load: Some(fresh.value), window, ..Value::without_total(result) }
}

/// An incomplete value is a lower bound of the total, as HPA counts missing pods as idle where more replicas are
/// proposed. Where fewer are, HPA counts them as at their target; here nothing scales in then.
fn of_total(
    subject: &Subject<'_>,
    reading: Option<&Reading>,
    total: f64,
    per_replica: i64,
    doubt: impl FnOnce(f64, u32) -> Option<SampleError>,
) -> Result<MetricResult, Invalid> {
    // The surge of a rollout exists, but nobody decided it: it must not become the new number of replicas.
    let replicas = subject.existing_replicas.min(subject.current_replicas);
    let mut proposal = average_of_total(total, per_replica, replicas, subject.declared.behavior.tolerance())?;
    if replicas == 0 {
        // There is no average over nothing, and HPA's value for it is no measurement.
        proposal.usage = (total * 1000.0).round() as i64;
    }
    let lack = reading.and_then(|reading| reading.lack(&subject.pods, subject.now, subject.max_age()));
    let served = reading.and_then(|reading| reading.in_flight).unwrap_or(0);
    Ok(match lack.or_else(|| doubt(total, served)) {
        None => MetricResult::Asks(proposal),
        Some(lack) if proposal.replicas > subject.current_replicas => {
            MetricResult::AtLeast(proposal, lack.into())
        }
        Some(lack) => MetricResult::Invalid(lack.into()),
    })
}

fn nobody_serves(subject: &Subject<'_>) -> Option<SampleError> {
    (!subject.pods.is_empty() && !subject.pods.iter().any(Pod::is_ready)).then_some(SampleError::NobodyServes)
}

fn on_latency(
    subject: &Subject<'_>,
    pods: &[Pod],
    memory: &mut LatencyMemory,
    metric: &Metric,
    target: i64,
    load: Option<f64>,
) -> MetricResult {
    let reading = subject.reading(&metric.name);
    let fresh = match judge(reading.as_deref(), &subject.pods, subject.now, subject.max_age()) {
        Ok(fresh) => fresh,
        Err(error) => return MetricResult::Silent { measured: None, why: error.to_string() },
    };
    let latency = (fresh.value * 1_000_000.0).round() as i64;
    let evidence = LatencyEvidence {
        metric: &metric.name,
        latency,
        target,
        load,
        pods,
        current_replicas: subject.current_replicas,
        tolerance: subject.declared.behavior.tolerance(),
    };
    match memory.judge(&evidence) {
        Opinion::More(proposal) => MetricResult::Asks(proposal),
        Opinion::Keep(why) => MetricResult::Keeps { latency, why },
        Opinion::Nothing(why) => MetricResult::Silent { measured: Some(latency), why: why.to_owned() },
        Opinion::Content => MetricResult::Silent { measured: Some(latency), why: String::new() },
    }
}
