//! Minimum replicas while metrics are missing. Pure.

use crate::{GoDuration, duration::is_duration};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Raises the minimum replicas while a metric is missing. A missing metric alone keeps the current replicas; once it
/// has been missing for `after`, at least `replicas` run. It never removes a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// Time for which a metric must be missing before the fallback applies, 30s to 24h, for example `3m`. A restart of
    /// the operator starts this time again.
    #[x_kube(validation = (AFTER_RANGE, "after must be a duration of 30s to 24h, such as 3m: shorter is what a restart of Prometheus takes"))]
    pub after: GoDuration,
    /// Minimum replicas while the fallback applies, 1 to `maxReplicas`. A number below `minReplicas` has no effect.
    #[schemars(range(min = 1, max = 10_000))]
    pub replicas: i32,
}

const AFTER_RANGE: &str =
    is_duration!("duration(self) >= duration('30s')", "duration(self) <= duration('24h')");
