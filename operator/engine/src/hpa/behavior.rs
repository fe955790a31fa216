//! How fast replicas may change: HPA v2's behavior with every default filled in. Pure.

use crate::hpa::signal::Tolerance;
use scalableapp_crds as api;
use serde::{Deserialize, Serialize};

/// Seconds for which a lower recommendation must last before it applies, unless the app sets them.
pub const DOWNSCALE_STABILIZATION_SECONDS: i32 = 300;

/// Relative distance from the target that changes nothing, unless the app sets it.
pub const TOLERANCE: f64 = 0.1;

/// Behavior in both directions, with HPA's defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Behavior {
    /// Rules for more replicas.
    pub scale_up: ScalingRules,
    /// Rules for fewer replicas.
    pub scale_down: ScalingRules,
}

/// Rules for one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalingRules {
    /// Seconds of past recommendations that are considered; 0 considers only the newest.
    pub stabilization_window_seconds: i32,
    /// Which policy applies.
    pub select_policy: SelectPolicy,
    /// Limits of the change within a period.
    pub policies: Vec<Policy>,
    /// Relative distance from the target that changes nothing, 0.1 for 10 percent.
    pub tolerance: f64,
}

/// Which of several policies applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// A limit of the change within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The largest change.
    pub limit: Limit,
    /// Length of the period in seconds.
    pub period_seconds: i32,
}

/// The largest change within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// A number of pods.
    Pods(i32),
    /// Percent of the replicas at the start of the period.
    Percent(i32),
}

impl Default for Behavior {
    fn default() -> Self {
        let at_most = |limit| Policy { limit, period_seconds: 15 };
        let rules = |stabilization_window_seconds, policies| ScalingRules {
            stabilization_window_seconds,
            select_policy: SelectPolicy::Max,
            policies,
            tolerance: TOLERANCE,
        };
        Self {
            scale_up: rules(0, vec![at_most(Limit::Pods(4)), at_most(Limit::Percent(100))]),
            scale_down: rules(DOWNSCALE_STABILIZATION_SECONDS, vec![at_most(Limit::Percent(100))]),
        }
    }
}

impl Behavior {
    /// The behavior of an app: each field that is not set has HPA's default for its direction.
    ///
    /// # Errors
    /// When a tolerance is not a quantity.
    pub fn resolve(written: &api::Behavior) -> Result<Self, api::InvalidQuantity> {
        let mut behavior = Self::default();
        if let Some(rules) = &written.scale_up {
            behavior.scale_up.overlay(rules)?;
        }
        if let Some(rules) = &written.scale_down {
            behavior.scale_down.overlay(rules)?;
        }
        Ok(behavior)
    }

    /// The tolerance for each direction.
    pub fn tolerance(&self) -> Tolerance {
        Tolerance { down: self.scale_down.tolerance, up: self.scale_up.tolerance }
    }
}

impl ScalingRules {
    /// The longest period of the policies, in seconds; 0 without policies.
    pub fn longest_period_seconds(&self) -> i32 {
        self.policies.iter().map(|policy| policy.period_seconds).max().unwrap_or(0)
    }

    fn overlay(&mut self, written: &api::ScalingRules) -> Result<(), api::InvalidQuantity> {
        if let Some(seconds) = written.stabilization_window_seconds {
            self.stabilization_window_seconds = seconds;
        }
        if let Some(select) = written.select_policy {
            self.select_policy = match select {
                api::SelectPolicy::Max => SelectPolicy::Max,
                api::SelectPolicy::Min => SelectPolicy::Min,
                api::SelectPolicy::Disabled => SelectPolicy::Disabled,
            };
        }
        if let Some(policies) = &written.policies {
            self.policies = policies.iter().map(Policy::from).collect();
        }
        if let Some(tolerance) = &written.tolerance {
            self.tolerance = tolerance.milli()? as f64 / 1000.0;
        }
        Ok(())
    }
}

impl From<&api::ScalingPolicyRule> for Policy {
    fn from(written: &api::ScalingPolicyRule) -> Self {
        let limit = match written.type_ {
            api::PolicyType::Pods => Limit::Pods(written.value),
            api::PolicyType::Percent => Limit::Percent(written.value),
        };
        Self { limit, period_seconds: written.period_seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_given_replaces_only_its_own_default() {
        let written: api::Behavior =
            serde_json::from_str(r#"{"scaleDown":{"stabilizationWindowSeconds":30,"tolerance":"0.05"}}"#)
                .expect("a behavior");
        let mut wanted = Behavior::default();
        wanted.scale_down.stabilization_window_seconds = 30;
        wanted.scale_down.tolerance = 0.05;
        assert_eq!(Behavior::resolve(&written), Ok(wanted));
    }
}
