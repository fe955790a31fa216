//! The address of a component. Pure.

use super::{labels, metadata};
use crate::resolve::app::{App, Component, HTTP_PORT};
use k8s_openapi::api::core::v1::{Service as ClusterService, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A Service over the ready pods of all revisions, so that a rollout never changes the address; none for a component
/// without a port.
pub(super) fn service(app: &App, component: &Component) -> Option<ClusterService> {
    let port = component.pod.port?;
    Some(ClusterService {
        metadata: metadata(app, component),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(labels::selected_by_component(app, component)),
            ports: Some(vec![ServicePort {
                name: Some(HTTP_PORT.to_owned()),
                protocol: Some("TCP".to_owned()),
                port,
                target_port: Some(IntOrString::String(HTTP_PORT.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..ClusterService::default()
    })
}
