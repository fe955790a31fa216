//! Scaling ahead of the load. Pure.

use crate::{GoDuration, duration::is_duration};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Raises the minimum replicas to those that the predicted load needs within `horizon`. The load is predicted from its
/// season, or without one from its trend. A forecast never removes a replica. It applies only while its recent errors
/// are no larger than those of simpler forecasts: the current load, and with a season also the load of one season ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// How far the forecast looks ahead, 10s to 30m, for example `2m`. Use the time that a new pod takes to become
    /// ready, plus half of the operator's averaging window for requests (1m by default). After a start of the operator
    /// nothing scales in while the forecast is tested: for five horizons without a season; with one for two horizons,
    /// and until the history is read.
    #[x_kube(validation = (HORIZON_RANGE, "horizon must be a duration of 10s to 30m, such as 2m: longer than pods take to start, and no longer than a trend lasts"))]
    pub horizon: GoDuration,
    /// Time after which the load repeats itself, 1h to 24h in whole minutes, usually `24h`. The load of the last seven
    /// seasons is read from Prometheus, which must keep at least three of them. Default: no season, so that the
    /// forecast continues the trend of the load.
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
