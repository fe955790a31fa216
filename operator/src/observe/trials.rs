//! The canaries in progress, as the decisions remember them. Pure.

use crate::resolve::app::{Breaker, Component, ComponentKey};
use jiff::Timestamp;
use scalableapp_engine::rollout::judge::counts::BadKind;
use scalableapp_engine::rollout::judge::policy::CanaryPolicy;
use scalableapp_engine::rollout::memory::Trial;
use std::collections::BTreeMap;

/// A canary in progress, and what it is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct CanaryTrial {
    /// Hash of the new revision.
    pub canary: String,
    /// Hash of the revision that it is compared with.
    pub stable: String,
    /// When the rollout began, in whole seconds as in the status.
    pub begun: Timestamp,
    /// Index of the step, from 0 on.
    pub step: usize,
    /// When the step began; `None` while its pods are not available.
    pub step_begun: Option<Timestamp>,
    /// What is to be proven. The length of a slice and the warm-up are those of the process.
    pub policy: CanaryPolicy,
    /// Seconds above which a request is slow; `None` where latency is not judged.
    pub slow_above: Option<f64>,
    /// The circuit breakers of the component, by dependency.
    pub breakers: BTreeMap<String, Breaker>,
}

/// The canaries in progress, by component.
pub type CanaryTrials = BTreeMap<ComponentKey, CanaryTrial>;

/// A share of bad requests that the first request without one excludes.
const ANY_SHARE: f64 = 0.999;

impl CanaryTrial {
    /// The canary of a component that is in progress; `None` where none is declared any more.
    #[must_use]
    pub fn of(component: &Component, trial: &Trial) -> Option<Self> {
        let declared = component.declared.canary.as_ref()?;
        let mut policy = declared.policy.clone();
        if declared.slow_above.is_none() {
            // Nothing is slow then, and that must not take hundreds of requests to prove.
            for (share, kind) in policy.largest_share.iter_mut().zip(BadKind::ALL) {
                if kind == BadKind::Slow {
                    *share = ANY_SHARE;
                }
            }
        }
        Some(Self {
            canary: trial.canary.clone(),
            stable: trial.stable.clone(),
            begun: in_seconds(trial.begun),
            step: trial.step,
            step_begun: trial.step_begun.map(in_seconds),
            policy,
            slow_above: declared.slow_above,
            breakers: component.breakers.clone(),
        })
    }

    /// Whether only the step differs, so that what was counted stays.
    #[must_use]
    pub fn continues(&self, other: &Self) -> bool {
        let Self { step, step_begun, .. } = *other;
        Self { step, step_begun, ..self.clone() } == *other
    }
}

/// The time in whole seconds, as the status has it.
#[must_use]
pub fn in_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
