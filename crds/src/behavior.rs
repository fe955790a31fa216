//! Scaling behavior with the fields, defaults and results of HorizontalPodAutoscaler v2 (KEP-853). Pure.

use crate::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How fast the number of replicas may change: the fields, units and defaults of `behavior` in HorizontalPodAutoscaler
/// v2.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// Rules for scaling up. Default: no stabilization window, and at most 4 pods or 100 percent of the replicas in 15
    /// seconds, whichever is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// Rules for scaling down. Default: a stabilization window of 300 seconds, and at most 100 percent of the replicas
    /// in 15 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// Rules for one direction. A field that is not set has the default of HorizontalPodAutoscaler for that direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// Stabilization window in seconds, 0 to 3600. Scaling down uses the highest recommendation of this window, scaling
    /// up the lowest one. Default: 0 for scaling up, 300 for scaling down. With 0 the latest recommendation is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<i32>,
    /// Which of several policies applies: `Max` (the default) is the one that allows the largest change, `Min` the one
    /// that allows the smallest change. `Disabled` turns scaling in this direction off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,
    /// Limits for the change within a period of time, 1 to 8 of them. `selectPolicy` says which one applies. Default:
    /// those of HorizontalPodAutoscaler for this direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub policies: Option<Vec<ScalingPolicyRule>>,
    /// Tolerance as a fraction of the target, a quantity of at least 0, rounded up to thousandths. A metric that is
    /// closer to its target does not scale in this direction. Default: `0.1`, which is 10 percent. With `0` every
    /// difference scales.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Quantity>,
}

/// Which of several policies applies: `Max` (the default) is the one that allows the largest change, `Min` the one that
/// allows the smallest change. `Disabled` turns scaling in this direction off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectPolicy {
    /// The policy that allows the largest change.
    Max,
    /// The policy that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// A limit for the change within a period of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicyRule {
    /// Unit of `value`: `Pods`, or `Percent` of the replicas at the start of the period.
    #[serde(rename = "type")]
    pub type_: PolicyType,
    /// The largest change within the period, in the unit of `type`, 1 to 100000.
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
