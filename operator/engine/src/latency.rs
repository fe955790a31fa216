//! When latency may ask for more replicas. Pure.
//!
//! Latency is a symptom: a slow database raises it just as a lack of replicas does, and then more replicas only add
//! callers. So it may ask for more, never for less, and only while the component's own load explains it:
//!
//! 1. While latency is clearly inside its target (by more than the tolerance), the load that the component carries is
//!    remembered as the *baseline*: the highest ratio of usage to target of its other fresh metrics.
//! 2. Once latency is above its target (by more than the tolerance) it asks for HPA's ratio of the ready pods, if the
//!    load is above the baseline by more than the tolerance.
//! 3. When such a request was written (a *step*), there is no further one until the pods of the step are ready and
//!    latency has fallen by more than the tolerance since. A step that does not lower latency stays the last one until
//!    latency was clearly inside its target again: the cause lies elsewhere.
//!
//! Limits of the rule. A baseline is not kept over a restart, and without one latency has no say, because a restart
//! must never widen a change; so latency helps only once it was inside its target with some load. The load is that of
//! the tightest metric alone: where a metric that does not follow load (often memory) is the tightest, latency stays
//! silent. Latency neither counts as a valid metric nor as a missing one, so without traffic it blocks nothing.

use crate::pod::Pod;
use crate::signal::{Proposal, Series, Tolerance, total_value};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What the rule remembers of a component.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LatencyMemory {
    /// The load when each latency metric was last clearly inside its target.
    pub(crate) baselines: BTreeMap<String, f64>,
    /// The last step, until latency was clearly inside its target again.
    pub(crate) step: Option<LatencyStep>,
}

/// Replicas that were added because latency asked for them.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyStep {
    /// Name of the metric.
    pub(crate) metric: String,
    /// When the replicas were written.
    pub(crate) at: Timestamp,
    /// Replicas that they led to.
    pub(crate) replicas: i32,
    /// Latency before the step, in microseconds.
    pub(crate) before: i64,
}

/// What is known of one latency metric and of the component at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) metric: &'a str,
    /// Latency and its target, in microseconds.
    pub(crate) latency: i64,
    pub(crate) target: i64,
    /// The highest ratio of usage to target of the other fresh metrics; nothing if there is none.
    pub(crate) load: Option<f64>,
    pub(crate) pods: &'a [Pod],
    pub(crate) current_replicas: i32,
    pub(crate) tolerance: Tolerance,
}

/// Why latency asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Silence {
    #[error("not above its target")]
    NotAboveTarget,
    #[error("waits until the pods of its last step are ready")]
    StepNotReady,
    #[error("more replicas did not lower it: the cause lies elsewhere")]
    StepDidNotHelp,
    #[error("no other fresh metric shows the load")]
    LoadUnknown,
    #[error("not yet seen inside its target under load")]
    NoBaseline,
    #[error("load per replica has not risen: the cause lies elsewhere")]
    LoadNotRisen,
    #[error("the ready pods need no more replicas")]
    NoMoreThanCurrent,
}

impl LatencyMemory {
    /// Applies the rule to one latency metric, and learns its baseline.
    pub(crate) fn propose(&mut self, evidence: &Evidence<'_>) -> Result<Proposal, Silence> {
        let Evidence { metric, tolerance, current_replicas, .. } = *evidence;
        let ratio = evidence.latency as f64 / evidence.target as f64;
        if ratio < 1.0 - tolerance.down {
            if let Some(load) = evidence.load {
                self.baselines.insert(metric.to_owned(), load);
            }
            self.step = self.step.take().filter(|step| step.metric != metric);
        }
        if ratio <= 1.0 + tolerance.up {
            return Err(Silence::NotAboveTarget);
        }
        self.check_step(evidence)?;
        let load = evidence.load.ok_or(Silence::LoadUnknown)?;
        let baseline = self.baselines.get(metric).ok_or(Silence::NoBaseline)?;
        if load <= baseline * (1.0 + tolerance.up) {
            return Err(Silence::LoadNotRisen);
        }
        total_value(
            Series::External(&[evidence.latency]),
            evidence.target,
            current_replicas,
            evidence.pods,
            tolerance,
        )
        .ok()
        .filter(|proposal| proposal.replicas > current_replicas)
        .ok_or(Silence::NoMoreThanCurrent)
    }

    fn check_step(&self, evidence: &Evidence<'_>) -> Result<(), Silence> {
        let Some(step) = &self.step else {
            return Ok(());
        };
        let ready = evidence.pods.iter().filter(|pod| pod.is_ready() && !pod.deleting).count();
        // Scale-in since the step takes pods of it away for good.
        let expected = step.replicas.min(evidence.current_replicas);
        if i64::from(expected) > ready as i64 {
            return Err(Silence::StepNotReady);
        }
        let fallen = (evidence.latency as f64) < step.before as f64 * (1.0 - evidence.tolerance.down);
        if step.metric == evidence.metric && fallen { Ok(()) } else { Err(Silence::StepDidNotHelp) }
    }
}
