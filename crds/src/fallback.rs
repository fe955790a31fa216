//! What to have while metrics are missing. Pure.

use crate::{GoDuration, duration::is_duration};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// While a metric has no fresh evidence the replicas that there are stay. After a time without it, at least `replicas` run.
/// That takes no replica away: nothing scales in on missing evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fallback {
    /// Time without fresh evidence of a metric after which the fallback counts, 30s to 24h. A restart of the operator
    /// begins it anew.
    #[x_kube(validation = (AFTER_RANGE, "after must be a duration of 30s to 24h, such as 3m: shorter is what a restart of Prometheus takes"))]
    pub after: GoDuration,
    /// The fewest replicas then, 1 to 10000 and no more than `maxReplicas`.
    #[schemars(range(min = 1, max = 10_000))]
    pub replicas: i32,
}

const AFTER_RANGE: &str =
    is_duration!("duration(self) >= duration('30s')", "duration(self) <= duration('24h')");
