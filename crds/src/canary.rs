//! A canary: steps, and what the new revision is judged by. Pure.

use crate::quantity::above_zero;
use crate::{GoDuration, Quantity, duration::is_duration, limits};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A canary. The stable revision keeps all of its replicas until the end, so it can take all requests back at any time.
/// The pods of the new revision run in addition, above `maxReplicas` too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// Steps, in order, 1 to 20. After the last one the new revision takes over.
    #[schemars(length(min = 1, max = limits::CANARY_STEPS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub steps: Vec<CanaryStep>,
    /// What the new revision is judged by. Default: errors, and answers of a fallback, at a false alarm of 1%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<CanaryAnalysis>,
}

/// A step of a canary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStep {
    /// Percentage of the requests that the new revision gets, 1 to 99, and at most 50 without a `route`. Without one it is a
    /// ratio of pods: of 6 replicas and a weight of 25, 2 pods are added. With one, the gateway follows it.
    #[schemars(range(min = 1, max = 99))]
    pub weight: i32,
    /// Least time at this step, from the moment at which its pods are available, 0s to 168h. The step lasts longer where the
    /// evidence is not enough. Default: 0s, so that the evidence alone decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (HELD, "hold must be a duration of 0s to 168h, such as 5m"))]
    pub hold: Option<GoDuration>,
}

const HELD: &str = is_duration!("duration(self) <= duration('168h')");

/// What a new revision is judged by. Each kind of bad requests is compared with the stable revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryAnalysis {
    /// The new revision is aborted when it is proven to have more than this many times the bad requests of the stable one, 1
    /// to 1000. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "above_zero")]
    pub tolerate: Option<Quantity>,
    /// A step is passed when the new revision is proven to have less than this many times the bad requests of the stable
    /// one; it must be above `tolerate`. Default: twice `tolerate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "above_zero")]
    pub exclude: Option<Quantity>,
    /// Requests that fail, and those that a fallback answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_ratio: Option<ErrorAnalysis>,
    /// Slow requests. Default: none, so that latency is not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyAnalysis>,
    /// Probability that a new revision that is no worse than `tolerate` is ever aborted, above 0 and at most 0.5. Default:
    /// 0.01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "above_zero")]
    pub false_abort: Option<Quantity>,
}

/// Requests that fail, and those that a fallback answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorAnalysis {
    /// A step is also passed when the share of bad requests is proven to be below this, above 0 and below 1. Without it a
    /// service without errors could not be compared. Default: 0.01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "above_zero")]
    pub at_most: Option<Quantity>,
}

/// Slow requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencyAnalysis {
    /// A request that takes longer is slow, 1ms to 10m. It is rounded up to a boundary of the histogram's buckets.
    #[x_kube(validation = (SLOW, "threshold must be a duration of 1ms to 10m, such as 300ms"))]
    pub threshold: GoDuration,
    /// A step is also passed when the share of slow requests is proven to be below this, above 0 and below 1. Default: 0.01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "above_zero")]
    pub at_most: Option<Quantity>,
}

const SLOW: &str = is_duration!("duration(self) >= duration('1ms')", "duration(self) <= duration('10m')");
