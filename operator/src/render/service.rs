//! The address of a component. Pure.

use super::{http_route, labels, metadata};
use crate::labels::REVISION;
use crate::names;
use crate::resolve::app::{App, Component, HTTP_PORT, POSTGRES_PORT};
use k8s_openapi::api::core::v1::{Service as ClusterService, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use scalableapp_crds::Tier;

/// A Service over the ready pods of all revisions, or of the `active` one alone, so that a rollout never changes the
/// address; none for a component without a port.
pub(super) fn service(app: &App, component: &Component, active: Option<&str>) -> Option<ClusterService> {
    let mut service = of_all(app, component)?;
    if let Some(revision) = active {
        select(&mut service, revision);
    }
    Some(service)
}

/// A Service over the ready pods of a new revision before requests go to it; none for a component without a port.
pub(super) fn preview(app: &App, component: &Component, revision: &str) -> Option<ClusterService> {
    let mut service = of_all(app, component)?;
    service.metadata.name = Some(names::preview(app.name.as_str(), component.name.as_str()));
    select(&mut service, revision);
    Some(service)
}

/// Selects one revision, and says so in its labels.
fn select(service: &mut ClusterService, revision: &str) {
    let label = || (REVISION.to_owned(), revision.to_owned());
    service.metadata.labels.get_or_insert_default().extend([label()]);
    if let Some(spec) = &mut service.spec {
        spec.selector.get_or_insert_default().extend([label()]);
    }
}

fn of_all(app: &App, component: &Component) -> Option<ClusterService> {
    let number = component.pod.port?;
    let port = match component.tier {
        // No port of a shard is found by its name, so that a sidecar may have a port of the same name.
        Tier::Cache => ("redis", IntOrString::Int(number)),
        // Read replicas are ready while they are eligible for reads.
        Tier::Database => (POSTGRES_PORT, IntOrString::String(POSTGRES_PORT.to_owned())),
        Tier::Service | Tier::Worker => (HTTP_PORT, IntOrString::String(HTTP_PORT.to_owned())),
    };
    Some(ClusterService {
        metadata: metadata(app, component),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            // Each shard has a name of its own, which resolves while it is ready.
            cluster_ip: (component.tier == Tier::Cache).then(|| "None".to_owned()),
            selector: Some(labels::selected_by_service(app, component)),
            ports: Some(vec![ServicePort {
                name: Some(port.0.to_owned()),
                protocol: Some("TCP".to_owned()),
                port: number,
                target_port: Some(port.1),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..ClusterService::default()
    })
}

/// A Service over the ready pods of one revision, to which a route sends its share of the requests.
pub(super) fn of_revision(app: &App, component: &Component, revision: &str) -> ClusterService {
    let mut metadata = metadata(app, component);
    metadata.name = Some(names::deployment(app.name.as_str(), component.name.as_str(), revision));
    let mut service = ClusterService {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(labels::selected_by_service(app, component)),
            ports: Some(vec![ServicePort {
                name: Some(HTTP_PORT.to_owned()),
                protocol: Some("TCP".to_owned()),
                port: http_route::PORT,
                target_port: Some(IntOrString::String(HTTP_PORT.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..ClusterService::default()
    };
    select(&mut service, revision);
    service
}
