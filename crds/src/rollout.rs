//! How a new version replaces the old one. Pure.

use crate::{BlueGreen, Canary};
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Cow, fmt};

/// How a new revision of a service takes over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (ONE_STRATEGY, "set at most one of rolling, canary, blueGreen"))]
pub struct Rollout {
    /// Rolling update: new pods replace old ones a few at a time. This is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
    /// Canary: the new revision gets a part of the requests, is compared with the stable revision, and takes over if it is
    /// proven to be good enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// Blue-green: the new revision gets all of its pods beside the stable one, and then all requests at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
}

const ONE_STRATEGY: &str = "!(has(self.rolling) && has(self.canary)) && !(has(self.blueGreen) && (has(self.rolling) || has(self.canary)))";

/// How a new revision of a worker takes over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerRollout {
    /// Rolling update: new pods replace old ones a few at a time. This is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
}

/// A rolling update. `maxSurge` and `maxUnavailable` mean what they mean in a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (SOME_POD_CAN_BE_REPLACED, "maxSurge and maxUnavailable must not both be 0, or no pod could ever be replaced (maxUnavailable is 0 unless it is set)"))]
pub struct Rolling {
    /// Pods that may run above the desired replicas during the update: a number of pods, 0 to 1000, or a percentage of
    /// the desired replicas, rounded up. Default: 25%. With 0 an old pod stops before a new one starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<IntOrPercent>,
    /// Pods that may be missing from the desired replicas during the update: a number of pods, 0 to 1000, or a
    /// percentage of the desired replicas, rounded down. Default: 0, so that no old pod stops before a new one is
    /// ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrPercent>,
}

/// Compared with constants only, which are the usual spellings of zero: in Kubernetes 1.33 the API server's cost
/// estimate for any function over an int-or-string is too high. The operator refuses the other spellings in the
/// conditions.
const SOME_POD_CAN_BE_REPLACED: &str = "!has(self.maxSurge) || (self.maxSurge != 0 && self.maxSurge != '0%') || (has(self.maxUnavailable) && self.maxUnavailable != 0 && self.maxUnavailable != '0%')";

/// A number of pods (`2`) or a percentage of them (`25%`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum IntOrPercent {
    /// A number of pods.
    Int(i32),
    /// A percentage as written, for example `25%`.
    Percent(String),
}

/// The text is neither a number nor a percentage.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is neither a number such as 2 nor a percentage such as 25%")]
pub struct InvalidIntOrPercent(String);

impl IntOrPercent {
    /// Pods out of `total`, a percentage rounded up.
    ///
    /// # Errors
    /// When the text is not a percentage.
    pub fn of_rounded_up(&self, total: i32) -> Result<i32, InvalidIntOrPercent> {
        self.of(total, 99)
    }

    /// Pods out of `total`, a percentage rounded down.
    ///
    /// # Errors
    /// When the text is not a percentage.
    pub fn of_rounded_down(&self, total: i32) -> Result<i32, InvalidIntOrPercent> {
        self.of(total, 0)
    }

    fn of(&self, total: i32, round_by: i64) -> Result<i32, InvalidIntOrPercent> {
        match self {
            Self::Int(value) => Ok(*value),
            Self::Percent(text) => {
                let invalid = || InvalidIntOrPercent(text.clone());
                let percent: i64 = text.strip_suffix('%').unwrap_or(text).parse().map_err(|_| invalid())?;
                i32::try_from((i64::from(total) * percent + round_by) / 100).map_err(|_| invalid())
            }
        }
    }
}

impl fmt::Display for IntOrPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Percent(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for IntOrPercent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Int(i32),
            String(String),
        }
        Ok(match Raw::deserialize(deserializer)? {
            Raw::Int(value) => Self::Int(value),
            Raw::String(text) => Self::Percent(text),
        })
    }
}

impl JsonSchema for IntOrPercent {
    fn schema_name() -> Cow<'static, str> {
        "IntOrPercent".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maximum": 1000,
            "maxLength": 5,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_a_deployment_rounds_them() {
        let quarter = IntOrPercent::Percent("25%".into());
        assert_eq!(quarter.of_rounded_up(10), Ok(3));
        assert_eq!(quarter.of_rounded_down(10), Ok(2));
        assert_eq!(IntOrPercent::Int(4).of_rounded_up(10), Ok(4));
    }
}
