//! A blue-green rollout: two whole revisions, and one switch between them. Pure.

use crate::{GoDuration, duration::is_duration, limits};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A blue-green rollout. The new revision gets its pods beside the stable one, above `maxReplicas` too, and no requests:
/// the Service `<app>-<component>-preview` has its address. Once all of its pods are available all requests go to it by
/// one write, and the stable revision keeps its pods for a while, so that it can take all requests back at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreen {
    /// Pods of the preview, 1 to 10000, and never more than the desired replicas. Default: the desired replicas. Before the
    /// switch the new revision always gets all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = limits::MOST_REPLICAS))]
    pub preview_replicas: Option<i32>,
    /// Time after the switch in which the stable revision keeps all of its pods, 0s to 168h. They always stay for 10s, until
    /// no request comes any more. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (HELD, "hold must be a duration of 0s to 168h, such as 5m"))]
    pub hold: Option<GoDuration>,
    /// Whether somebody has to promote the new revision before the switch. Default: false, so that it switches as soon as
    /// all pods are available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<bool>,
}

const HELD: &str = is_duration!("duration(self) <= duration('168h')");
