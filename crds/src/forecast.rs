//! Scaling for the load that is about to come. Pure.

use crate::{GoDuration, duration::is_duration};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Raises the fewest replicas to what the load within `horizon` will need, as its season or its trend foretells. It never
/// lowers anything, and has a say only while its recent errors are no larger than those of assuming that the load stays
/// as it is and, for a season, that it is the load of one season earlier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// How far to look ahead, 10s to 30m. Use the time from the creation of a pod until it is ready, and half of the
    /// operator's request window (1m by default) because a rate is an average over that. Without a season nothing scales
    /// in for five horizons after the operator started, as the trend is judged first; with one for two horizons and until
    /// the history was read.
    #[x_kube(validation = (HORIZON_RANGE, "horizon must be a duration of 10s to 30m, such as 2m: longer than pods take to start, and no longer than a trend lasts"))]
    pub horizon: GoDuration,
    /// The time after which the load repeats itself, 1h to 24h in whole minutes, usually 24h. What it did in up to seven
    /// seasons is read from Prometheus, which must keep three of them at least. Without it the load's trend is carried on.
    #[x_kube(validation = (SEASON_RANGE, "season must be a duration of 1h to 24h in whole minutes, such as 24h: Prometheus must keep three of them"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub season: Option<GoDuration>,
}

const HORIZON_RANGE: &str =
    is_duration!("duration(self) >= duration('10s')", "duration(self) <= duration('30m')");
const SEASON_RANGE: &str = is_duration!(
    "duration(self) >= duration('1h')",
    "duration(self) <= duration('24h')",
    "duration(self).getSeconds() % 60 == 0"
);
