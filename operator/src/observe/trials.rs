//! The canaries in progress, as the decisions remember them. Pure.

use crate::resolve::app::{Breaker, ComponentKey};
use jiff::Timestamp;
use scalableapp_engine::rollout::judge::policy::CanaryPolicy;
use std::collections::BTreeMap;

/// A canary in progress, and what it is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct CanaryTrial {
    /// Hash of the new revision.
    pub canary: String,
    /// Hash of the revision that it is compared with.
    pub stable: String,
    /// When the rollout began.
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

impl CanaryTrial {
    /// Whether only the step differs, so that what was counted stays.
    #[must_use]
    pub fn continues(&self, other: &Self) -> bool {
        let Self { step, step_begun, .. } = *other;
        Self { step, step_begun, ..self.clone() } == *other
    }
}
