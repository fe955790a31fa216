//! When latency may propose more replicas. Pure.
//!
//! Latency is a symptom: a slow database raises it just as a lack of replicas does, and more replicas then only add
//! callers. So latency may propose more, never fewer, and only while the component's own load explains it:
//!
//! 1. While latency is clearly inside its target (by more than the tolerance), the component's load is remembered as
//!    the *baseline*: the highest ratio of usage to target of its other fresh metrics.
//! 2. Once latency is above its target (by more than the tolerance), it proposes HPA's ratio of the ready pods, if the
//!    load is above the baseline by more than the tolerance.
//! 3. After such a proposal was written (a *step*), there is no other one until the pods of the step are ready and
//!    latency has fallen by more than the tolerance since. A step that does not lower latency stays the last one until
//!    latency was clearly inside its target again: the cause is elsewhere.
//!
//! Where the rule cannot decide, because there is no baseline yet or another latency metric's step is still under
//! observation, latency above its target keeps the current replicas. Baselines do not survive a restart, and a restart
//! must neither enlarge a change nor remove what latency would have proposed. Keeping the replicas does neither.
//!
//! Limits of the rule: a latency target that is never met keeps replicas from scaling in. The load is that of the
//! metric with the highest ratio alone: where that metric does not follow load (often memory), latency proposes
//! nothing. Latency counts neither as a valid metric nor as a missing one, so without traffic it blocks nothing.

use crate::hpa::pod::Pod;
use crate::hpa::signal::{Proposal, Series, Tolerance, total_value};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The rule's memory of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LatencyMemory {
    /// The load when each latency metric was last clearly inside its target.
    pub(crate) baselines: BTreeMap<String, f64>,
    /// The last step, until latency was clearly inside its target again.
    pub(crate) step: Option<LatencyStep>,
}

/// Replicas that were added because of latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyStep {
    /// Name of the metric.
    pub(crate) metric: String,
    /// When the replicas were written.
    pub(crate) at: Timestamp,
    /// Replicas after it.
    pub(crate) replicas: i32,
    /// Latency before the step, in microseconds.
    pub(crate) before: i64,
}

/// State of one latency metric and of the component at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LatencyEvidence<'a> {
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

/// The result of a latency metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Opinion {
    /// More replicas.
    More(Proposal),
    /// The current replicas at least, with the reason.
    Keep(&'static str),
    /// No proposal, with the reason.
    Nothing(&'static str),
    /// No proposal, because latency is not above its target.
    Content,
}

impl LatencyMemory {
    /// Removes the metrics that are not kept.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.baselines.retain(|name, _| is_kept(name));
        self.step = self.step.take().filter(|step| is_kept(&step.metric));
    }

    /// Applies the rule to one latency metric, and updates its baseline.
    pub(crate) fn judge(&mut self, evidence: &LatencyEvidence<'_>) -> Opinion {
        let LatencyEvidence { metric, tolerance, .. } = *evidence;
        let ratio = evidence.latency as f64 / evidence.target as f64;
        if ratio < 1.0 - tolerance.down {
            if let Some(load) = evidence.load {
                self.baselines.insert(metric.to_owned(), load);
            }
            self.step = self.step.take().filter(|step| step.metric != metric);
        }
        if ratio <= 1.0 + tolerance.up {
            return Opinion::Content;
        }
        let Some(baseline) = self.baselines.get(metric) else {
            return Opinion::Keep("not yet seen inside its target under load");
        };
        if let Some(opinion) = self.step.as_ref().and_then(|step| step.blocks(evidence)) {
            return opinion;
        }
        match evidence.load {
            None => Opinion::Nothing("no other fresh metric shows the load"),
            Some(load) if load <= baseline * (1.0 + tolerance.up) => {
                Opinion::Nothing("load per replica has not risen: the cause lies elsewhere")
            }
            Some(_) => evidence.more(),
        }
    }
}

impl LatencyStep {
    /// Why this step allows no other one yet, if so.
    fn blocks(&self, evidence: &LatencyEvidence<'_>) -> Option<Opinion> {
        let ready = evidence.pods.iter().filter(|pod| pod.is_ready() && !pod.deleting).count();
        // A scale-in since the step removes pods of it for good.
        let expected = self.replicas.min(evidence.current_replicas);
        let fallen = (evidence.latency as f64) < self.before as f64 * (1.0 - evidence.tolerance.down);
        if self.metric != evidence.metric {
            Some(Opinion::Keep("the last step of another latency metric is not judged yet"))
        } else if i64::from(expected) > ready as i64 {
            Some(Opinion::Nothing("waits until the pods of its last step are ready"))
        } else if !fallen {
            Some(Opinion::Nothing("more replicas did not lower it: the cause lies elsewhere"))
        } else {
            None
        }
    }
}

impl LatencyEvidence<'_> {
    /// HPA's ratio of the ready pods.
    fn more(&self) -> Opinion {
        let latency = [self.latency];
        let series = Series::External(&latency);
        match total_value(series, self.target, self.current_replicas, self.pods, self.tolerance) {
            Ok(proposal) if proposal.replicas > self.current_replicas => Opinion::More(proposal),
            _ => Opinion::Nothing("the ready pods need no more replicas"),
        }
    }
}
