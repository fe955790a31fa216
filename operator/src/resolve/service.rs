//! One service. Pure.

use super::app::{ComponentKey, Pod, Service};
use super::invalid::Problems;
use super::name::ComponentName;
use super::path::Path;
use super::revision::Revision;
use super::{canonical, container, pod_fields, pod_security, pod_template, probe, rolling, scaling};
use scalableapp_crds as api;
use scalableapp_engine::stack::{Component, Workload};
use std::sync::Arc;

/// Resolves one service, with its problems; `default_image` is that of the app with this namespace and name.
pub(super) fn resolve(
    written: &api::Service,
    (namespace, app): (&str, &str),
    default_image: Option<&str>,
    path: Path<'_>,
) -> Service {
    let mut found = Problems::default();
    let problems = &mut found;
    let key = ComponentKey::new(namespace, app, &written.name);
    let name = ComponentName::resolve(&written.name, Path::Field(&path, "name"), problems);
    let pod = pod(written, default_image, path, problems);
    let revision = Revision::of(&pod, &written.probes.clone().unwrap_or_default());
    let scaling = scaling::resolve(written, path, problems);
    let rolling = rolling::resolve(written.rollout.as_ref(), Path::Field(&path, "rollout"), problems);
    let scaling::Scaling { workload, min_replicas, max_replicas, queries, behavior, schedules, fallback } =
        scaling;
    let declared = Component {
        workload: Workload::Service(workload),
        min_replicas,
        max_replicas,
        schedules,
        fallback,
        behavior,
        revision: revision.to_string(),
        rolling,
    };
    Service { key, name, pod, revision, declared: Arc::new(declared), queries, problems: found.into_vec() }
}

fn pod(written: &api::Service, default_image: Option<&str>, path: Path<'_>, problems: &mut Problems) -> Pod {
    let image = container::image(written.image.as_deref().or(default_image), path, problems);
    container::check_env(&written.env, Path::Field(&path, "env"), problems);
    let port = container::port(written.port, Path::Field(&path, "port"), problems);
    let metrics_port =
        written.metrics_port.map(|port| container::port(port, Path::Field(&path, "metricsPort"), problems));
    let resources = written.resources.clone().unwrap_or_default();
    container::check_resources(&resources, Path::Field(&path, "resources"), problems);
    let probes = probe::resolve(written.probes.as_ref(), port, Path::Field(&path, "probes"), problems);
    let template = written.pod_template.as_ref().map(|template| {
        let at = Path::Field(&path, "podTemplate");
        let template = canonical::canonical_object(&template.object());
        pod_fields::check(&template, at, problems);
        pod_template::check(&template, &written.name, at, problems);
        pod_security::check(&template, at, problems);
        template
    });
    Pod {
        image,
        command: written.command.clone(),
        args: written.args.clone(),
        env: written.env.clone(),
        port,
        metrics_port,
        resources,
        probes,
        template: template.unwrap_or_default().into(),
    }
}
