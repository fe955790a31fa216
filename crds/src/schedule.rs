//! Spans of time in which a component has a higher floor. Pure.

use crate::service::COMPONENT_NAME;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A span of time in which at least so many replicas run. Where spans overlap the largest `minReplicas` counts, and
/// `maxReplicas` is never passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.from != self.to", "from and to must differ: a span that ends when it begins never takes place"))]
pub struct Schedule {
    /// Name of the schedule in decisions and status, unique within the component.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (COMPONENT_NAME, "name must be lower case letters, digits and hyphens, start with a letter and not end with a hyphen"))]
    pub name: String,
    /// IANA name of the time zone of `from` and `to`, for example `Europe/Zurich` or `UTC`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = (TIME_ZONE, "timeZone must be an IANA name such as Europe/Zurich or UTC"))]
    pub time_zone: String,
    /// When the span begins, as five cron fields: minute, hour, day of month, month, day of week.
    /// `0 8 * * 1-5` is 8:00 on weekdays. A time that the clock jumps over in spring comes right after the jump; one
    /// that the clock repeats in autumn comes once.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = (FIVE_FIELDS, "from must be five cron fields: minute, hour, day of month, month, day of week, for example 0 8 * * 1-5"))]
    pub from: String,
    /// When the span ends, written like `from`. It may lie on a later day.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = (FIVE_FIELDS, "to must be five cron fields: minute, hour, day of month, month, day of week, for example 0 18 * * 1-5"))]
    pub to: String,
    /// The fewest replicas within the span, 1 to 10000. A smaller number than the component's own `minReplicas` has
    /// no effect.
    #[schemars(range(min = 1, max = 10_000))]
    pub min_replicas: i32,
}

const TIME_ZONE: &str = "self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$')";
const FIVE_FIELDS: &str = "self.matches('^ *[-0-9A-Za-z*/,#?+]+( +[-0-9A-Za-z*/,#?+]+){4} *$')";
