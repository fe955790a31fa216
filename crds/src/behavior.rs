//! Scaling behaviour in the shape, with the defaults and with the results of HorizontalPodAutoscaler v2 (KEP-853). Pure.

use crate::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How fast replicas may change, in the names, units and defaults of HorizontalPodAutoscaler v2.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// Rules for more replicas.
    /// Default: no stabilization, and the larger of 4 pods and 100 percent every 15 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// Rules for fewer replicas.
    /// Default: 300 seconds of stabilization, and 100 percent every 15 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// Rules for one direction. A field that is left out keeps HPA's default for that direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// Seconds of past recommendations that are considered, so that replicas do not flap.
    /// Default: 0 for scaling up, 300 for scaling down. 0 acts on the newest recommendation alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<i32>,
    /// Which policy counts when several are given: the one that allows the largest change (`Max`, the default),
    /// the smallest (`Min`), or none at all (`Disabled`: no change in this direction).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,
    /// Limits of the change within a period; at least one unless left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub policies: Option<Vec<ScalingPolicyRule>>,
    /// Relative distance from the target, as a quantity, inside which nothing changes in this direction.
    /// Default: `0.1`, which is 10 percent. `0` reacts to every difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Quantity>,
}

/// Which policy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectPolicy {
    /// The policy that allows the largest change.
    Max,
    /// The policy that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// One limit of the change within a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicyRule {
    /// Whether `value` counts pods or percent of the replicas at the start of the period.
    #[serde(rename = "type")]
    pub type_: PolicyType,
    /// The largest change within the period, in the unit that `type` names; at least 1.
    #[schemars(range(min = 1, max = 100_000))]
    pub value: i32,
    /// Length of the period in seconds, 1 to 1800.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: i32,
}

/// Unit of a policy's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicyType {
    /// A number of pods.
    Pods,
    /// Percent of the replicas at the start of the period.
    Percent,
}
