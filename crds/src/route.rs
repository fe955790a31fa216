//! How requests from outside reach a service: by a Gateway of Gateway API. Pure.

use crate::limits;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Requests from Gateways to a service, by an HTTPRoute `<app>-<component>` that the operator owns. The HTTPRoute divides
/// the requests between the revisions of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.hostnames) || self.hostnames.all(h, h.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'))",
    "write a host name as shop.example.com or *.example.com: lower case letters, digits, hyphens and dots, without scheme, port or path"
))]
pub struct Route {
    /// The Gateways that pass requests on, 1 to 8 of them. Each of them decides whether it does: its listeners name the
    /// namespaces and host names that they accept.
    #[schemars(length(min = 1, max = limits::ROUTE_PARENTS))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub parent_refs: Vec<GatewayRef>,
    /// Host names of the requests, at most 16, for example `shop.example.com` or `*.example.com`. Default: all that the
    /// listeners of the Gateways accept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = limits::ROUTE_HOSTNAMES), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Atomic)]
    pub hostnames: Vec<String>,
}

/// A Gateway, or one listener of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRef {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the Gateway, whose listeners must allow routes from the namespace of the app. Default: that of the
    /// app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Name of the only listener that passes requests on. Default: all listeners that accept them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}
