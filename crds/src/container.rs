//! Environment and resources of a component's container. Pure.

use crate::Quantity;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(has(self.value) && has(self.valueFrom))", "set only one of value, valueFrom"))]
pub struct EnvVar {
    /// Name of the variable: letters, digits, `-`, `_` and `.`, not beginning with a digit.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = ("self.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')", "name must be letters, digits, '-', '_' and '.', and not begin with a digit"))]
    pub name: String,
    /// Value of the variable. `$(NAME)` is replaced by the value of a variable further up in the list. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Source of the value, instead of `value`: exactly one of its fields must be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// Source of an environment variable's value, in the app's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), has(self.resourceFieldRef)].filter(x, x).size() == 1", "set exactly one of secretKeyRef, configMapKeyRef, fieldRef, resourceFieldRef"))]
pub struct EnvVarSource {
    /// A key of a Secret. Only the kubelet reads it, never the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeySelector>,
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeySelector>,
    /// A field of the pod, such as its name or IP address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldSelector>,
    /// A request or limit of the container, for example `limits.cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_field_ref: Option<ResourceFieldSelector>,
}

/// A key of a named Secret or ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySelector {
    /// Name of the Secret or ConfigMap in the app's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret or ConfigMap whose value is used.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Whether the container may start although the object or its key is missing. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A field of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldSelector {
    /// Path of the field, for example `metadata.name` or `status.podIP`.
    #[schemars(length(min = 1, max = 253))]
    pub field_path: String,
}

/// A resource of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceFieldSelector {
    /// The request or limit, for example `limits.cpu` or `requests.memory`.
    #[schemars(length(min = 1, max = 253))]
    pub resource: String,
    /// Unit of the value, as a quantity: with `1m` the CPU is given in thousandths of a core. Default: `1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divisor: Option<Quantity>,
}

/// Resources of the container, as Kubernetes names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Resources that the scheduler reserves for each pod, for example `cpu: 250m`. Default: the limits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, Quantity>,
    /// Resources that the container may use at most, for example `memory: 256Mi`. Default: no limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, Quantity>,
}
