//! Recurring times with more minimum replicas. Pure.

use crate::service::COMPONENT_NAME;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A recurring time with more minimum replicas. Where schedules overlap, the largest `minReplicas` applies; the
/// scaling's `maxReplicas` is never exceeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.from != self.to", "from and to must differ: a schedule that ends when it begins never takes effect"))]
pub struct Schedule {
    /// Name of the schedule in status and messages, unique within the component: at most 20 lower case letters, digits
    /// and hyphens.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = (COMPONENT_NAME, "name must be lower case letters, digits and hyphens, start with a letter and not end with a hyphen"))]
    pub name: String,
    /// Time zone of `from` and `to`, as a name of the IANA database such as `Europe/Zurich` or `UTC`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = (TIME_ZONE, "timeZone must be an IANA name such as Europe/Zurich or UTC"))]
    pub time_zone: String,
    /// When the schedule begins, as five cron fields: minute, hour, day of month, month, day of week. `0 8 * * 1-5` is
    /// 8:00 from Monday to Friday. A time that daylight saving skips comes right after the gap; a repeated time comes
    /// once.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = (FIVE_FIELDS, "from must be five cron fields: minute, hour, day of month, month, day of week, for example 0 8 * * 1-5"))]
    pub from: String,
    /// When the schedule ends, as five cron fields, for example `0 18 * * 1-5`. It may be on a later day, and must come
    /// at other times than `from`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = (FIVE_FIELDS, "to must be five cron fields: minute, hour, day of month, month, day of week, for example 0 18 * * 1-5"))]
    pub to: String,
    /// Minimum replicas while the schedule is on, 1 to 10000. A number below the scaling's own `minReplicas` has no
    /// effect.
    #[schemars(range(min = 1, max = 10_000))]
    pub min_replicas: i32,
}

const TIME_ZONE: &str = "self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$')";
const FIVE_FIELDS: &str = "self.matches('^ *[-0-9A-Za-z*/,#?+]+( +[-0-9A-Za-z*/,#?+]+){4} *$')";
