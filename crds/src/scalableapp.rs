//! `ScalableApp`: the stack that a team declares. Pure.

use crate::{ScalableAppStatus, Service};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Desired state of the app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "scalableapp.dev",
    version = "v1alpha1",
    kind = "ScalableApp",
    namespaced,
    status = "ScalableAppStatus",
    derive = "PartialEq",
    shortname = "sapp",
    category = "scalable",
    doc = "An application of one or more services that the operator runs and scales.",
    validation = ("self.metadata.name.size() <= 30 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')", "metadata.name must be at most 30 lower case letters, digits and hyphens, and start with a letter: it becomes part of the names of Services and Deployments"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Replicas", type_ = "string", json_path = ".status.replicas", description = "Ready and desired replicas of all components."),
    printcolumn(name = "Limited-By", type_ = "string", json_path = ".status.limitedBy", description = "What limits the replicas, and of which component."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Metrics", type_ = "string", json_path = ".status.conditions[?(@.type==\"MetricsAvailable\")].status", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.image) || self.services.all(s, has(s.image))", "set image, or an image for each service")
)]
pub struct ScalableAppSpec {
    /// Container image of every service that sets no `image` of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Stateless services of the app, 1 to 20. Each has its own pods, Service and scaling.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<Service>,
}
