//! The declaration of pods, which services and workers share. Pure.

use super::app::Pod;
use super::invalid::Problems;
use super::path::Path;
use super::{canonical, container, pod_fields, pod_security, pod_template, probe};
use scalableapp_crds as api;
use serde_json::{Map, Value};

/// The fields of a service or a worker that declare its pods.
#[derive(Clone, Copy)]
pub(super) struct Declaration<'a> {
    pub name: &'a str,
    pub image: Option<&'a str>,
    pub command: &'a [String],
    pub args: &'a [String],
    pub env: &'a [api::EnvVar],
    pub port: Option<i32>,
    pub metrics_port: Option<i32>,
    pub resources: Option<&'a api::Resources>,
    pub probes: Option<&'a api::Probes>,
    pub pod_template: Option<&'a api::PodTemplate>,
}

impl<'a> From<&'a api::Service> for Declaration<'a> {
    fn from(written: &'a api::Service) -> Self {
        Self {
            name: &written.name,
            image: written.image.as_deref(),
            command: &written.command,
            args: &written.args,
            env: &written.env,
            port: Some(written.port),
            metrics_port: written.metrics_port,
            resources: written.resources.as_ref(),
            probes: written.probes.as_ref(),
            pod_template: written.pod_template.as_ref(),
        }
    }
}

impl<'a> From<&'a api::Worker> for Declaration<'a> {
    fn from(written: &'a api::Worker) -> Self {
        Self {
            name: &written.name,
            image: written.image.as_deref(),
            command: &written.command,
            args: &written.args,
            env: &written.env,
            port: None,
            metrics_port: written.metrics_port,
            resources: written.resources.as_ref(),
            probes: written.probes.as_ref(),
            pod_template: written.pod_template.as_ref(),
        }
    }
}

impl<'a> Declaration<'a> {
    /// A component of this name without pods of its own.
    pub(super) fn named(name: &'a str) -> Self {
        Self {
            name,
            image: None,
            command: &[],
            args: &[],
            env: &[],
            port: None,
            metrics_port: None,
            resources: None,
            probes: None,
            pod_template: None,
        }
    }
}

impl Declaration<'_> {
    /// The pods, with their problems; `default_image` is that of the app.
    pub(super) fn pod(
        &self,
        default_image: Option<&str>,
        drain_seconds: Option<u32>,
        path: Path<'_>,
        problems: &mut Problems,
    ) -> Pod {
        let image = container::image(self.image.or(default_image), path, problems);
        container::check_env(self.env, Path::Field(&path, "env"), problems);
        let mut port = |name, port: Option<i32>| {
            port.map(|port| container::port(port, Path::Field(&path, name), problems))
        };
        let (port, metrics_port) = (port("port", self.port), port("metricsPort", self.metrics_port));
        let resources = self.resources.cloned().unwrap_or_default();
        container::check_resources(&resources, Path::Field(&path, "resources"), problems);
        let probes =
            probe::resolve(self.probes, port.or(metrics_port), Path::Field(&path, "probes"), problems);
        let template = self
            .pod_template
            .map(|written| template(written, self.name, Path::Field(&path, "podTemplate"), problems));
        Pod {
            image,
            command: self.command.to_vec(),
            args: self.args.to_vec(),
            env: self.env.to_vec(),
            port,
            metrics_port,
            resources,
            probes,
            drain_seconds,
            cache: None,
            caches: Vec::new(),
            databases: Vec::new(),
            pool: None,
            reader: None,
            template: template.unwrap_or_default().into(),
        }
    }
}

/// The template in canonical form, with its problems. `own` is the name of the component's own container.
pub(super) fn template(
    written: &api::PodTemplate,
    own: &str,
    path: Path<'_>,
    problems: &mut Problems,
) -> Map<String, Value> {
    let template = canonical::canonical_object(&written.object());
    pod_fields::check(&template, path, problems);
    pod_template::check(&template, own, path, problems);
    pod_security::check(&template, path, problems);
    template
}
