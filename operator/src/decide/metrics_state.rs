//! The state of a component's metrics after a decision. Pure.

use super::component_state::{Failure, MetricsState};
use crate::{observe::snapshot::Samples, resolve::app::Component};
use jiff::Timestamp;
use scalableapp_crds::Tier;
use scalableapp_engine::{
    ComponentDecision,
    hpa::pod::Pod,
    propose::metric::Metric,
    reason::{self, Reason},
};

/// `pods` are the component's.
pub(super) fn metrics_state(
    component: &Component,
    samples: &Samples,
    decision: &ComponentDecision,
    pods: &[Pod],
    ready: i32,
    now: Timestamp,
) -> MetricsState {
    if component.declared.metrics().is_empty() {
        return MetricsState::NotAsked;
    }
    if !samples.were_taken() {
        return MetricsState::NotYet;
    }
    // The first replicas of a service, a cache or a database are decided without its metrics.
    if component.tier != Tier::Worker && ready == 0 && (decision.current == 0 || !decision.invalid.is_empty())
    {
        return MetricsState::NoPodReady;
    }
    let missing = |metric: &Metric| {
        let name = &metric.name;
        let Some(invalid) = decision.invalid.get(name) else {
            // Latency needs no evidence, but an unanswered query is not fresh.
            let cause = samples.unanswered(&component.key, name, now)?;
            return Some((reason::METRIC_STALE, format!("{name}: {cause}")));
        };
        // The sentence of the list, not the current age or count: a condition must not change with time alone.
        let what = match invalid.reason {
            // Only this sentence names the pod and the container, which stay the same.
            reason::REQUEST_MISSING => invalid.why.as_str(),
            reason => reason.sentence,
        };
        let cause = samples.problem(&component.key, name, pods, now);
        Some((invalid.reason, format!("{name}: {}", cause.as_deref().unwrap_or(what))))
    };
    let missing: Vec<(Reason, String)> = component.declared.metrics().iter().filter_map(missing).collect();
    let Some((reason, _)) = missing.first().cloned() else { return MetricsState::Fresh };
    let sentences: Vec<String> = missing.into_iter().map(|(_, sentence)| sentence).collect();
    MetricsState::Missing(Failure { reason, message: sentences.join("; ") })
}
