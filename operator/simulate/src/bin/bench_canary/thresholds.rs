//! Rules with a threshold on the canary's success rate, as Argo Rollouts and Flagger set them. Pure.

use crate::traffic::SLICE;

/// The least success rate.
const SUCCESS: f64 = 0.99;
/// Seconds between two measurements.
const INTERVAL: u32 = 60;

/// A rule.
pub(crate) struct ThresholdRule {
    pub(crate) name: &'static str,
    /// Seconds that a measurement looks back. The first one is made when they have passed.
    window: u32,
    /// Measurements below [`SUCCESS`] that end the rollout.
    limit: u32,
}

/// One-minute window and `failureLimit: 0`; five-minute window and `failureLimit: 3`, both of Argo Rollouts; one-minute
/// window and `threshold: 5` of Flagger.
pub(crate) const RULES: [ThresholdRule; 3] = [
    ThresholdRule { name: "Argo 1m/0", window: 60, limit: 1 },
    ThresholdRule { name: "Argo 5m/3", window: 300, limit: 4 },
    ThresholdRule { name: "Flagger", window: 60, limit: 5 },
];

/// What a rule has seen of a rollout.
#[derive(Default)]
pub(crate) struct Watch {
    slices: Vec<(u64, u64)>,
    failed: u32,
}

impl Watch {
    /// Adds the canary's requests and errors of a slice; whether the rule aborts now. A window without a request fails
    /// nobody.
    pub(crate) fn aborts(&mut self, rule: &ThresholdRule, requests: u64, errors: u64) -> bool {
        self.slices.push((requests, errors));
        let seconds = self.slices.len() as u32 * SLICE;
        if !seconds.is_multiple_of(INTERVAL) || seconds < rule.window {
            return false;
        }
        let recent = self.slices.iter().rev().take((rule.window / SLICE) as usize);
        let (requests, errors) = recent.fold((0, 0), |(all, bad), one| (all + one.0, bad + one.1));
        if requests > 0 && (errors as f64) > (1.0 - SUCCESS) * requests as f64 {
            self.failed += 1;
        }
        self.failed >= rule.limit
    }
}
