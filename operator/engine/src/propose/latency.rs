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
//! Where the rule cannot tell, because no baseline is known yet or another latency metric's step is still being judged,
//! latency above its target keeps the replicas that are there. Baselines do not outlive a restart, and neither may a
//! restart widen a change nor take away what latency would have asked for; keeping is the one answer that does neither.
//!
//! Limits of the rule. A latency target that is never met keeps replicas from going. The load is that of the tightest
//! metric alone: where a metric that does not follow load (often memory) is the tightest, latency stays silent.
//! Latency neither counts as a valid metric nor as a missing one, so without traffic it blocks nothing.

use crate::hpa::pod::Pod;
use crate::hpa::signal::{Proposal, Series, Tolerance, total_value};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the rule remembers of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LatencyMemory {
    /// The load when each latency metric was last clearly inside its target.
    pub(crate) baselines: BTreeMap<String, f64>,
    /// The last step, until latency was clearly inside its target again.
    pub(crate) step: Option<LatencyStep>,
}

/// Replicas that were added because latency asked for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// What a latency metric asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Opinion {
    /// More replicas.
    More(Proposal),
    /// No fewer replicas, for a reason.
    Keep(&'static str),
    /// Nothing, for a reason.
    Nothing(&'static str),
    /// Nothing, because latency is not above its target.
    Content,
}

impl LatencyMemory {
    /// Forgets the metrics that are not kept.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.baselines.retain(|name, _| is_kept(name));
        self.step = self.step.take().filter(|step| is_kept(&step.metric));
    }

    /// Applies the rule to one latency metric, and learns its baseline.
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
    /// Why this step allows no further one yet, if so.
    fn blocks(&self, evidence: &LatencyEvidence<'_>) -> Option<Opinion> {
        let ready = evidence.pods.iter().filter(|pod| pod.is_ready() && !pod.deleting).count();
        // Scale-in since the step takes pods of it away for good.
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
