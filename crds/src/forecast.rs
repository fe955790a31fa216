//! Scaling for the load that is about to come. Pure.

use crate::GoDuration;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Raises the fewest replicas to what the load within `horizon` will need, as its trend foretells. It never lowers
/// anything, and has a say only while its recent errors are no larger than those of assuming that the load stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// How far to look ahead, 10s to 30m. Use the time from the creation of a pod until it is ready, and half of the
    /// operator's request window (1m by default) because a rate is an average over that. Nothing scales in for five
    /// horizons after the operator started, as the forecast is judged first.
    #[x_kube(validation = (HORIZON_RANGE, "horizon must be 10s to 30m: longer than pods take to start, and no longer than a trend lasts"))]
    pub horizon: GoDuration,
}

const HORIZON_RANGE: &str = "duration(self) >= duration('10s') && duration(self) <= duration('30m')";
