//! What each declared metric says: a proposal, nothing to add, or that it cannot be evaluated. Pure.

use crate::decide::Input;
use crate::latency::{Evidence, Opinion};
use crate::memory::{LastGood, Memory};
use crate::metric::{Metric, Target, micros};
use crate::pod::{Pod, Resource};
use crate::reason::{self, Reason};
use crate::sample::{judge, with_fresh_samples};
use crate::signal::{PodMetric, PodTarget, Proposal, Series, SignalError, average_value};

/// A declared metric and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Signal<'a> {
    pub(crate) metric: &'a Metric,
    pub(crate) vote: Vote,
}

/// What a metric says.
#[derive(Clone, Debug)]
pub(crate) enum Vote {
    /// It asks for replicas.
    Asks(Proposal),
    /// It cannot be evaluated, so nothing may scale in.
    Invalid(Invalid),
    /// Latency that asks for no fewer replicas.
    Keeps {
        /// Latency in microseconds.
        latency: i64,
        /// Why it cannot ask for more.
        why: &'static str,
    },
    /// Latency that asks for nothing.
    Silent {
        /// Latency in microseconds, if it is known.
        latency: Option<i64>,
        /// Why it asks for nothing; empty while it is not above its target.
        why: String,
    },
}

/// Why a metric cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The reason as one word.
    pub reason: Reason,
    /// What exactly is wrong.
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

/// Asks every metric, latency last because it looks at what the others measured.
pub(crate) fn evaluate<'a>(input: &Input<'a>, memory: &mut Memory) -> Vec<Signal<'a>> {
    let pods = with_fresh_samples(input.pods, input.now, input.max_sample_age);
    let mut signals: Vec<Signal<'a>> = Vec::with_capacity(input.metrics.len());
    let mut latencies = Vec::new();
    for metric in input.metrics {
        let proposed = match &metric.target {
            Target::Cpu(target) => on_pods(input, &pods, Resource::Cpu, *target),
            Target::Memory(target) => on_pods(input, &pods, Resource::Memory, *target),
            Target::RequestRate { per_replica } | Target::Prometheus { per_replica } => {
                on_total(input, &metric.name, *per_replica)
            }
            Target::Latency { target, .. } => {
                latencies.push((metric, micros(*target)));
                continue;
            }
        };
        if let Ok(proposal) = &proposed {
            let good = LastGood { milli: metric.target.measured(proposal), at: input.now };
            memory.last_good.insert(metric.name.clone(), good);
        }
        signals.push(Signal { metric, vote: proposed.map_or_else(Vote::Invalid, Vote::Asks) });
    }
    let load = signals.iter().filter_map(|signal| signal.vote.proposal()).map(|proposal| proposal.ratio);
    let load = load.filter(|ratio| ratio.is_finite()).reduce(f64::max);
    for (metric, target) in latencies {
        let vote = on_latency(input, &pods, memory, metric, target, load);
        signals.push(Signal { metric, vote });
    }
    signals
}

impl Vote {
    /// What is asked for, if anything.
    pub(crate) fn proposal(&self) -> Option<&Proposal> {
        match self {
            Self::Asks(proposal) => Some(proposal),
            Self::Invalid(_) | Self::Keeps { .. } | Self::Silent { .. } => None,
        }
    }
}

fn on_pods(
    input: &Input<'_>,
    pods: &[Pod],
    resource: Resource,
    target: PodTarget,
) -> Result<Proposal, Invalid> {
    let sampled = |pod: &Pod| pod.usage.get(resource).is_some();
    let metric = PodMetric {
        now: input.now,
        pods,
        unlisted: &[],
        available: pods.is_empty() || pods.iter().any(sampled),
        resource,
        container: None,
        target,
        current_replicas: input.current_replicas,
        tolerance: input.behavior.tolerance(),
        timing: input.timing,
    };
    Ok(metric.propose()?)
}

fn on_total(input: &Input<'_>, name: &str, per_replica: i64) -> Result<Proposal, Invalid> {
    let fresh = judge(input.readings.get(name), input.now, input.max_sample_age)
        .map_err(|unfit| Invalid { reason: unfit.reason(), why: unfit.to_string() })?;
    let milli = (fresh.value * 1000.0).round() as i64;
    // The surge of a rollout exists, but nobody asked for it: it must not become the new number of replicas.
    let replicas = input.status_replicas.min(input.current_replicas);
    Ok(average_value(Series::External(&[milli]), per_replica, replicas, input.behavior.tolerance())?)
}

fn on_latency(
    input: &Input<'_>,
    pods: &[Pod],
    memory: &mut Memory,
    metric: &Metric,
    target: i64,
    load: Option<f64>,
) -> Vote {
    let fresh = match judge(input.readings.get(&metric.name), input.now, input.max_sample_age) {
        Ok(fresh) => fresh,
        Err(unfit) => return Vote::Silent { latency: None, why: unfit.to_string() },
    };
    let latency = (fresh.value * 1_000_000.0).round() as i64;
    let evidence = Evidence {
        metric: &metric.name,
        latency,
        target,
        load,
        pods,
        current_replicas: input.current_replicas,
        tolerance: input.behavior.tolerance(),
    };
    match memory.latency.judge(&evidence) {
        Opinion::More(proposal) => Vote::Asks(proposal),
        Opinion::Keep(why) => Vote::Keeps { latency, why },
        Opinion::Nothing(why) => Vote::Silent { latency: Some(latency), why: why.to_owned() },
        Opinion::Content => Vote::Silent { latency: Some(latency), why: String::new() },
    }
}
