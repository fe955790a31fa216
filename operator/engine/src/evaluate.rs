//! What each declared metric says: a proposal, nothing to add, or that it cannot be evaluated. Pure.

use crate::decide::Input;
use crate::latency::{Evidence, Opinion};
use crate::memory::{LastGood, Memory};
use crate::metric::{Metric, Target, micros};
use crate::pod::{Pod, Resource};
use crate::reason::{self, Reason};
use crate::sample::{Reading, Unfit, judge, judge_value, with_fresh_samples};
use crate::signal::{PodMetric, PodTarget, Proposal, SignalError, average_of_total};
use crate::zero::doubt;

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
    /// It is not whole, and yet what there is of it asks for more than the current replicas.
    AtLeast(Proposal, Invalid),
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

impl From<Unfit> for Invalid {
    fn from(unfit: Unfit) -> Self {
        Self { reason: unfit.reason(), why: unfit.to_string() }
    }
}

/// Asks every metric, latency last because it looks at what the others measured. `least` are the replicas that run at
/// any load.
pub(crate) fn evaluate<'a>(input: &Input<'a>, least: i32, memory: &mut Memory) -> Vec<Signal<'a>> {
    let pods = with_fresh_samples(input.pods, input.now, input.max_sample_age);
    let mut signals: Vec<Signal<'a>> = Vec::with_capacity(input.metrics.len());
    let mut latencies = Vec::new();
    for metric in input.metrics {
        let vote = match &metric.target {
            Target::Cpu(target) => on_pods(input, &pods, Resource::Cpu, *target),
            Target::Memory(target) => on_pods(input, &pods, Resource::Memory, *target),
            Target::RequestRate { per_replica } => on_total(input, &metric.name, *per_replica, |rate| {
                nobody_serves(input).or_else(|| doubt(input, memory, &metric.name, rate, least))
            }),
            Target::Prometheus { per_replica } => on_total(input, &metric.name, *per_replica, |_| None),
            Target::Latency { target, .. } => {
                latencies.push((metric, micros(*target)));
                continue;
            }
        };
        let vote = vote.unwrap_or_else(Vote::Invalid);
        if let Vote::Asks(proposal) = &vote {
            let good = LastGood { milli: metric.target.measured(proposal), at: input.now };
            memory.last_good.insert(metric.name.clone(), good);
        }
        signals.push(Signal { metric, vote });
    }
    let ratio = |signal: &Signal<'_>| match &signal.vote {
        Vote::Asks(proposal) => Some(proposal.ratio),
        _ => None,
    };
    let load = signals.iter().filter_map(ratio).filter(|ratio| ratio.is_finite()).reduce(f64::max);
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
            Self::Asks(proposal) | Self::AtLeast(proposal, _) => Some(proposal),
            Self::Invalid(_) | Self::Keeps { .. } | Self::Silent { .. } => None,
        }
    }

    /// Why it is not whole, if it is not. Latency needs no evidence, so it never lacks any.
    pub(crate) fn invalid(&self) -> Option<&Invalid> {
        match self {
            Self::Invalid(invalid) | Self::AtLeast(_, invalid) => Some(invalid),
            Self::Asks(_) | Self::Keeps { .. } | Self::Silent { .. } => None,
        }
    }
}

fn on_pods(input: &Input<'_>, pods: &[Pod], resource: Resource, target: PodTarget) -> Result<Vote, Invalid> {
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
    Ok(Vote::Asks(metric.propose()?))
}

/// What is not whole is a lower bound of the total, as HPA takes the pods that it misses for idle where more replicas
/// are asked for. HPA takes them for pods at their target where fewer are; here nothing scales in then.
fn on_total(
    input: &Input<'_>,
    name: &str,
    per_replica: i64,
    doubt: impl FnOnce(f64) -> Option<Unfit>,
) -> Result<Vote, Invalid> {
    let reading = input.readings.get(name);
    let fresh = judge_value(reading, input.now, input.max_sample_age)?;
    // The surge of a rollout exists, but nobody asked for it: it must not become the new number of replicas.
    let replicas = input.status_replicas.min(input.current_replicas);
    let mut proposal = average_of_total(fresh.value, per_replica, replicas, input.behavior.tolerance())?;
    if replicas == 0 {
        // There is no average over nothing, and what HPA takes for it is no measurement.
        proposal.usage = (fresh.value * 1000.0).round() as i64;
    }
    let lack = reading.and_then(Reading::lack);
    Ok(match lack.or_else(|| doubt(fresh.value)) {
        None => Vote::Asks(proposal),
        Some(lack) if proposal.replicas > input.current_replicas => Vote::AtLeast(proposal, lack.into()),
        Some(lack) => Vote::Invalid(lack.into()),
    })
}

fn nobody_serves(input: &Input<'_>) -> Option<Unfit> {
    (!input.pods.is_empty() && !input.pods.iter().any(Pod::is_ready)).then_some(Unfit::NobodyServes)
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
